"""The repair of payments: what may be done, the plan, its steps, and what became of them."""
