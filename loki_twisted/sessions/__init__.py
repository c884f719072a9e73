"""Who is doing what: the sessions, their legal steps, and their tasks."""
