"""Whether a worker works, and not merely runs."""
