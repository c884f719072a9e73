"""What a ``.loki/`` directory says: watching it, and reading it."""
