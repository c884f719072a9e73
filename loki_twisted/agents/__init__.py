"""What runs: agents under their keepers, and what their output means."""
