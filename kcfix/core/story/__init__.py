"""The story of one payment, as `trace` tells it."""
