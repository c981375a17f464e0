"""The drill's faults: each made and undone by its real cause, and remembered until it is undone."""

from kcfix.drill.faults.memory import Broken, break_, break_all, broken, mend
from kcfix.drill.faults.pairs import Pair, pairs
from kcfix.drill.faults.table import faults, named

__all__ = ["Broken", "Pair", "break_", "break_all", "broken", "faults", "mend", "named", "pairs"]
