"""A throw-away copy of the system to rehearse on: real broker, database and workers (docs/design.md, "The drill")."""
