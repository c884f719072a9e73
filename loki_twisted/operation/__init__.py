"""What those who run a server need of it: the service manager's line, stalls, figures."""
