"""What a program does around a server: it tells the service manager, reloads, and watches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from twisted.logger import Logger

from loki_twisted.model.sessions import FINAL, SessionStatus
from loki_twisted.operation.manager import ServiceManager
from loki_twisted.operation.pulse import Pulse
from loki_twisted.operation.stall_monitor import StallMonitor

if TYPE_CHECKING:
    from loki_twisted.service import Service

T = TypeVar("T")

_NOT_AT_WORK: Final = FINAL | {SessionStatus.QUEUED}

_log = Logger()


class Operator:
    """
    Looks after one server.

    :param manager: The service manager that started this process.
    """

    def __init__(self, manager: ServiceManager) -> None:
        self._manager = manager
        self._service: Service | None = None
        self._pulse: Pulse | None = None
        self._monitor: StallMonitor | None = None
        self._is_to_reload = False

    def take(self, service: Service) -> None:
        """Look after a server that has not been started."""
        self._service = service
        self._pulse = Pulse(
            service.reactor,
            self._manager,
            lambda: status_of(service),
            lambda: service.rooms.log.failure is None,
        )
        self._pulse.starting()
        self._monitor = StallMonitor(service.reactor, service.stalls)
        service.ready.addCallback(self._serves)

    def reload(self) -> None:
        """Have the server take up what has changed; one that starts does so when it serves."""
        if self._service is None or self._pulse is None:
            return
        if self._service.phase != "serving":
            self._is_to_reload = True
            return
        self._is_to_reload = False
        self._pulse.reloading()
        _log.info("Reloading")
        self._service.reload()
        self._pulse.reloaded()

    def stopping(self) -> None:
        """Tell that the server is being stopped. May be repeated."""
        if self._pulse is not None:
            self._pulse.stopping()

    def _serves(self, addresses: T) -> T:
        if self._pulse is not None:
            self._pulse.ready()
        if self._monitor is not None and not self._monitor.start():
            _log.info("This kind of reactor is not watched for stalls")
        if self._is_to_reload:
            self.reload()
        return addresses


def status_of(service: Service) -> str:
    """Say in a line how a server is."""
    refusal = service.vitals.not_ready()
    if refusal is not None:
        return f"Takes no work. {refusal}"
    counts = service.rooms.sessions.counts()
    sessions = sum(n for status, n in counts.items() if status not in _NOT_AT_WORK)
    streams = service.rooms.hub.subscriber_count
    serving = f"Serving: {sessions} sessions at work, {streams} streams."
    return " ".join([serving, *service.vitals.problems()])
