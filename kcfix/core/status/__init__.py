"""The whole system at one moment, as `status` shows it."""
