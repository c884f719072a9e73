"""What the settings of a server mean, in the units of its rooms."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Final

from loki_twisted.access.interface import IKeyring
from loki_twisted.access.tokens import Token, plain_token
from loki_twisted.agents.interface import Limits
from loki_twisted.agents.providers.replay import REPLAY
from loki_twisted.endpoints import is_local_endpoint
from loki_twisted.log.retention import Retention
from loki_twisted.model.wire import StartOptions, StartSession
from loki_twisted.sessions.inbox import InputPolicy, OnUnanswered
from loki_twisted.sessions.moments import Patience
from loki_twisted.sessions.policy import LaunchPolicy
from loki_twisted.settings import Settings
from loki_twisted.web.authorities import own_hosts
from loki_twisted.web.gate import GatePolicy

_DAY_MS: Final = 24 * 60 * 60 * 1000
_MEGABYTE: Final = 1_000_000


def launch_policy_of(settings: Settings) -> LaunchPolicy:
    """Say what sessions may do."""
    return LaunchPolicy(
        loki_dir=os.path.realpath(settings.loki_dir),
        project_roots=_roots_of(settings),
        max_sessions=settings.max_sessions,
        limits=limits_of(settings),
        max_per_provider=dict(settings.max_per_provider),
        max_per_project=settings.max_per_project,
        max_queued=settings.max_queued,
        inputs=_input_policy_of(settings),
        patience=Patience(stall=settings.stall_seconds or None),
    )


def limits_of(settings: Settings) -> Limits:
    """Say what each agent may use. None and 0 are no limit."""
    memory, file = settings.limit_memory_mb, settings.limit_file_mb
    return Limits(
        memory_bytes=memory * _MEGABYTE if memory else None,
        processes=settings.limit_processes or None,
        file_bytes=file * _MEGABYTE if file else None,
    )


def retention_of(settings: Settings) -> Retention:
    """Say how much the log keeps. None and 0 are no limit."""
    days, megabytes = settings.retain_days, settings.retain_mb
    return Retention(
        events=settings.retain_events or None,
        age_ms=int(days * _DAY_MS) if days else None,
        size=megabytes * _MEGABYTE if megabytes else None,
    )


def tokens_of(settings: Settings) -> Iterable[Token]:
    """Make the tokens that are in no file."""
    return [plain_token("LOKI_API_TOKEN", each) for each in settings.tokens]


def gate_policy_of(
    settings: Settings, descriptions: Iterable[str], keyring: IKeyring
) -> GatePolicy:
    """
    Say who may use the API.

    :param descriptions: What the server listens on itself; nothing, if a program mounts it, which
        then says who may reach it.
    """
    return GatePolicy(
        keyring=keyring,
        hosts=own_hosts(settings.host, settings.allowed_hosts),
        origins=frozenset(settings.cors_origins),
        own_origin_only=not settings.cors,
        auth_required=settings.auth,
        local_without_token=all(is_local_endpoint(each) for each in descriptions),
        debug=settings.debug,
    )


def _roots_of(settings: Settings) -> list[str]:
    """The directories in and under which agents may work; a recording lies in one of them."""
    roots = [os.path.realpath(root) for root in settings.project_roots]
    if settings.replay is not None:
        roots.append(os.path.dirname(os.path.realpath(settings.replay)))
    return roots


def _input_policy_of(settings: Settings) -> InputPolicy:
    """Say what becomes of inputs that nobody answers. None and 0 are no limit."""
    seconds = settings.input_seconds
    limit_ms = int(seconds * 1000) if seconds else None
    return InputPolicy(OnUnanswered(settings.on_unanswered), limit_ms)


def replay_of(settings: Settings) -> StartSession | None:
    """Say how the recording is played that is to be played, or None."""
    if settings.replay is None:
        return None
    return StartSession(
        provider=REPLAY,
        prd_path=os.path.realpath(settings.replay),
        options=StartOptions(speed=settings.replay_speed),
    )
