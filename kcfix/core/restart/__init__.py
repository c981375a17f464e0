"""The restart of workers: the plan, its steps, and the proof that they work."""
