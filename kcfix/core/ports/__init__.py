"""What the core asks of Docker, Kafka and PostgreSQL, one file each.

Every call has a deadline that the adapter got from the settings. Every call may raise `Unreachable` (no answer, or
not in time: nothing is known) or `AccessDenied` (a right is missing). Only the calls under "changes" change anything.
"""
