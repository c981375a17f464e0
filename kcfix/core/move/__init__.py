"""Moves of committed offsets: where a group stands, what a move passes by, and the move."""
