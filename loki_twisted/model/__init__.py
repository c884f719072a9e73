"""The vocabulary: frozen values, filters and errors. No I/O, no clock, no reactor."""
