"""The drill's faults: each made and undone by its real cause, and remembered until it is undone."""

from kcfix.drill.faults.memory import Broken, break_, broken, mend
from kcfix.drill.faults.table import faults, named

__all__ = ["Broken", "break_", "broken", "faults", "mend", "named"]
