"""A throw-away copy of the system to rehearse on: real broker, database and worker containers (docs/design.md, "The drill")."""
