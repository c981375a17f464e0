"""The adapters with large libraries (Docker, Kafka, PostgreSQL) are loaded one after the other."""

from __future__ import annotations

import threading

ONE_LOADS = threading.RLock()
"""Held while an adapter and its library are imported. Threads that import side by side hand the interpreter to and fro:
`kcfix trace` took 0.75 s so, and takes 0.68 s where they wait for each other."""
