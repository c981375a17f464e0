"""Parse, call, show: one file per command. Knows Typer; knows no library of the outside world."""
