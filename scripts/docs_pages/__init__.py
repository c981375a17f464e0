"""The generated pages of docs/, one file each."""

from __future__ import annotations

NOTE = "<!-- Made by scripts/generate_docs.py from the code: change the code, then run `make docs`. -->\n"
"""The first line of each."""
