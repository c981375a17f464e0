"""Looks that go on: `watch`, `monitor`, and their metrics."""
