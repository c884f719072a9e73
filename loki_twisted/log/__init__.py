"""What happened: the event log and the rows that go with it, behind ``log/interface.py``."""
