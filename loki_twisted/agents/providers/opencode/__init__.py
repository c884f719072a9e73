"""opencode: how it is started, and what it says, behind its server or as one run."""
