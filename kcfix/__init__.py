"""Find and repair purchases that were paid for and never appeared."""

__version__ = "0.2.0"
