"""Settings: flag > environment > file of the chosen context > discovered > default, with the origin of each kept."""

from kcfix.settings.fields import SETTINGS, Origin, Setting, Settings, Source
from kcfix.settings.load import load

__all__ = ["SETTINGS", "Origin", "Setting", "Settings", "Source", "load"]
