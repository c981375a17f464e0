"""Values and decisions: no I/O, no clock, no Typer, no library of the outside world."""
