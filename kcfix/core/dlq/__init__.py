"""Dead letters: by cause, judged, replayed, parked."""
