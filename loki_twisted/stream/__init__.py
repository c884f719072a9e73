"""Who listens: subscribers to the event stream."""
