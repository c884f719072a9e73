"""Who may do what: tokens and what they open, and the record of who did what."""
