"""Start, steer and watch coding agents over HTTP and Server-Sent Events."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from loki_twisted.client import ClientError, LokiClient
    from loki_twisted.model.events import Event
    from loki_twisted.model.filters import EventFilter
    from loki_twisted.model.sessions import Session, SessionStatus
    from loki_twisted.model.tasks import Task, TaskStatus
    from loki_twisted.service import Service
    from loki_twisted.settings import Settings

__version__ = "0.1.0"

__all__ = [
    "ClientError",
    "Event",
    "EventFilter",
    "LokiClient",
    "Service",
    "Session",
    "SessionStatus",
    "Settings",
    "Task",
    "TaskStatus",
    "__version__",
]

# Imported when they are first asked for: the server's modules install the
# reactor, and a command that only prints its help needs none of them.
_HOME_OF = {
    "ClientError": "client",
    "Event": "model.events",
    "EventFilter": "model.filters",
    "LokiClient": "client",
    "Service": "service",
    "Session": "model.sessions",
    "SessionStatus": "model.sessions",
    "Settings": "settings",
    "Task": "model.tasks",
    "TaskStatus": "model.tasks",
}


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(f"{__name__}.{home}"), name)
