"""Routes of health: for probes, for load balancers, and for people."""

from __future__ import annotations

import re
from typing import Final

from loki_twisted.access.interface import Scope
from loki_twisted.log.interface import IEventLog
from loki_twisted.model.sessions import FINAL, SessionStatus
from loki_twisted.model.wire import (
    CallerDetail,
    Health,
    Liveness,
    ProviderList,
    Readiness,
    SessionCounts,
    Status,
    StreamCounts,
)
from loki_twisted.sessions.interface import ISessions
from loki_twisted.stream.hub import Hub
from loki_twisted.web.operations import Reply, operation
from loki_twisted.web.visits import Visit
from loki_twisted.web.vitals import IVitals

_TAG: Final = "health"
_NEED_NOTHING: Final = frozenset({"demo", "command", "acp"})
"""Providers that are there without any program of an agent."""
_PATH: Final = re.compile(r"(?<!\w)/\S+")
"""Where something lies is of no use to whoever reads it elsewhere."""

_UNAVAILABLE: Final = 503
_WAITING: Final = FINAL | {SessionStatus.QUEUED}


class HealthRoutes:
    """The routes that tell how the server is."""

    def __init__(self, vitals: IVitals, sessions: ISessions, log: IEventLog, hub: Hub) -> None:
        self._vitals = vitals
        self._sessions = sessions
        self._log = log
        self._hub = hub

    @operation("GET", "/health", tag=_TAG, answer=Health, also={_UNAVAILABLE: Health})
    def get_health(self) -> Reply:
        """
        Tell how the server is.

        It is degraded if something does not work as it should, or no agent is installed; it
        is unhealthy, and answers 503, if the log cannot be written.
        """
        unhealthy = self._log.failure is not None
        problems = self._problems()
        health = Health(
            status="unhealthy" if unhealthy else "degraded" if problems else "healthy",
            version=self._vitals.version,
            uptime=self._vitals.uptime_ms(),
            providers=dict(self._vitals.providers()),
            active_session=self._sessions.active_session(),
            problems=problems,
        )
        return Reply(health, _UNAVAILABLE if unhealthy else 200)

    @operation(
        "GET",
        "/health/ready",
        tag=_TAG,
        answer=Readiness,
        also={_UNAVAILABLE: Readiness},
        needs_token=False,
    )
    def get_readiness(self) -> Reply:
        """Tell whether the server takes work."""
        reason = self._vitals.not_ready()
        if reason is None:
            return Reply(Readiness(ready=True), 200)
        return Reply(Readiness(ready=False, error=reason), _UNAVAILABLE)

    @operation("GET", "/health/live", tag=_TAG, answer=Liveness, needs_token=False)
    def get_liveness(self) -> Liveness:
        """Tell that the server answers."""
        return Liveness(alive=True, uptime=self._vitals.uptime_ms())

    @operation("GET", "/api/status", tag=_TAG, answer=Status, asks_who=True)
    def get_status(self, visit: Visit) -> Status:
        """
        Tell about the server in detail.

        The `caller` is who asks, with the scopes that the token has.
        """
        counts = self._sessions.counts()
        uptime = self._vitals.uptime_ms()
        return Status(
            version=self._vitals.version,
            uptime=uptime,
            uptime_formatted=duration_in_words(uptime),
            providers=dict(self._vitals.providers()),
            sessions=SessionCounts(
                total=sum(counts.values()),
                running=sum(n for status, n in counts.items() if status not in _WAITING),
                completed=counts.get(SessionStatus.COMPLETED, 0),
                failed=counts.get(SessionStatus.FAILED, 0),
            ),
            events=StreamCounts(
                subscribers=self._hub.subscriber_count, history_size=len(self._log.bounds)
            ),
            system=self._vitals.system(),
            problems=self._problems(),
            caller=CallerDetail(
                name=visit.caller.name,
                scopes=[each.value for each in Scope if each in visit.caller.scopes],
            ),
        )

    def _problems(self) -> list[str]:
        """What is amiss, the worst first; each says why, as far as that is known."""
        problems = [reason] if (reason := self._vitals.not_serving()) is not None else []
        if self._log.failure is not None:
            why = _PATH.sub("...", self._log.failure)
            problems += ["The log cannot be written.", why]
        problems += self._vitals.problems()
        found = self._vitals.providers().items()
        if not any(is_there for name, is_there in found if name not in _NEED_NOTHING):
            problems.append("No program of any provider was found.")
        return problems

    @operation("GET", "/api/providers", tag=_TAG, answer=ProviderList)
    def list_providers(self) -> ProviderList:
        """Tell which agents can be started, and what each can do."""
        return ProviderList(providers=list(self._vitals.provider_details()))


def duration_in_words(milliseconds: int) -> str:
    """Format a duration for people, for example ``1d 2h 0m 5s``; leading zeros are left out."""
    minutes, seconds = divmod(milliseconds // 1000, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [(days, "d"), (hours, "h"), (minutes, "m"), (seconds, "s")]
    while len(parts) > 1 and not parts[0][0]:
        del parts[0]
    return " ".join(f"{number}{unit}" for number, unit in parts)
