"""The client: sessions and events of a server, over treq."""
