"""What of an earlier run can be taken back, and the taking back."""
