"""The logs of containers: read, understood, merged."""
