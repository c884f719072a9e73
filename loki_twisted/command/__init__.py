"""The command line: ``loki serve``, ``lokictl`` and what they share."""
