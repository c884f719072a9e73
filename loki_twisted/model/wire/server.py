"""What is answered about the server: how it is, and which agents it can start."""

from __future__ import annotations

from typing import Literal

from loki_twisted.model.spending import CostOrigin
from loki_twisted.model.wire.shapes import Shape


class Health(Shape, frozen=True, kw_only=True):
    """How the server is: healthy, degraded (says why in ``problems``) or unhealthy."""

    status: str
    version: str
    uptime: int
    providers: dict[str, bool]
    active_session: str | None
    problems: list[str]


class Readiness(Shape, frozen=True, kw_only=True, omit_defaults=True):
    """Whether the server takes work; if not, why."""

    ready: bool
    error: str | None = None


class Liveness(Shape, frozen=True, kw_only=True):
    """The server answers. ``uptime`` is in milliseconds."""

    alive: bool
    uptime: int


class ProviderAbilities(Shape, frozen=True, kw_only=True):
    """
    What the agents of a provider can do.

    With ``asks`` they put questions, or ask for permissions, and wait for the answer. They take
    messages ``never``, ``next`` (when they have done what they are doing), or also ``now``. With
    ``continues`` a conversation can be gone on with by a new run. ``cost`` is where the cost comes
    from that is told of them.
    """

    asks: bool
    messaging: Literal["never", "next", "now"]
    continues: bool
    cost: CostOrigin


class ProviderDetail(Shape, frozen=True, kw_only=True):
    """
    One kind of agent.

    It is ``available`` if its own program is there. The abilities are those of that program:
    where Loki Mode runs it, those of the provider ``loki`` hold.
    """

    name: str
    available: bool
    abilities: ProviderAbilities


class ProviderList(Shape, frozen=True, kw_only=True):
    """All kinds of agents that the server knows."""

    providers: list[ProviderDetail]


class SessionCounts(Shape, frozen=True, kw_only=True):
    """How many sessions there are."""

    total: int
    running: int
    completed: int
    failed: int


class StreamCounts(Shape, frozen=True, kw_only=True):
    """How many listen, and to how much history."""

    subscribers: int
    history_size: int


class System(Shape, frozen=True, kw_only=True):
    """
    The machine and what runs on it.

    Memory and disk are in bytes, ``loadAverage`` is of the last minute. ``diskFree`` and
    ``diskTotal`` are of the file system that the log lies on, ``logBytes`` is what it takes there.
    """

    platform: str
    arch: str
    python_version: str
    twisted_version: str
    sqlite_version: str
    cpus: int
    memory_used: int
    load_average: float
    disk_free: int | None = None
    disk_total: int | None = None
    log_bytes: int | None = None


class CallerDetail(Shape, frozen=True, kw_only=True):
    """Who asks: the name of a token or ``local``, and which of the three scopes that one has."""

    name: str
    scopes: list[str]


class Status(Shape, frozen=True, kw_only=True):
    """The server in detail, and what whoever asks may do there."""

    version: str
    uptime: int
    uptime_formatted: str
    providers: dict[str, bool]
    sessions: SessionCounts
    events: StreamCounts
    system: System
    problems: list[str]
    caller: CallerDetail | None = None
