"""Programs that stand in for agents' command lines."""
