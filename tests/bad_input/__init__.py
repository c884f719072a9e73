"""Bad input as tables: rows of requests, each with its one right answer. B1, B2 and so on."""
