"""Lets the drill's modules be imported where every warning is an error."""

from __future__ import annotations

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # kafka-python warns while it is imported
    import kafka
    import kafka.admin

__all__ = ["kafka"]
