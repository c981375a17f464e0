"""Money as people read it."""

from __future__ import annotations


def amount(minor: int, currency: str) -> str:
    """The amount with its currency, from the minor unit: 360000 INR are 3,600.00 INR."""
    return f"{minor / 100:,.2f} {currency}"
