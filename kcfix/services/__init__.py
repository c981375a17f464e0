"""What a run works with: settings, clock, terminal, and the three systems."""

from kcfix.services.services import Services
from kcfix.services.systems import Systems

__all__ = ["Services", "Systems"]
