"""The kinds of agents: how each is started, and what its lines mean."""
