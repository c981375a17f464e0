"""The only places where libraries of the outside world appear; their types and errors stop here."""
