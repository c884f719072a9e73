"""The parts of a reactor that running agents needs, under one name for each use."""

from __future__ import annotations

from twisted.internet.interfaces import IReactorFDSet, IReactorProcess, IReactorTime


class IWatchingReactor(IReactorFDSet, IReactorTime):
    """Watches descriptors and the time."""


class IAgentReactor(IWatchingReactor, IReactorProcess):
    """Starts processes as well."""
