"""What may go wrong with a measurement."""

from __future__ import annotations


class Trouble(Exception):
    """A measurement gave no figures; its text says why. The others go on."""
