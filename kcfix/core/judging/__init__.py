"""What is the case with payments: what is read, and the verdict."""
