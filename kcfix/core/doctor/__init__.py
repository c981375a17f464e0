"""The doctor: what it looks at, its rules, and what it concludes."""
