"""What a session was asked for, as it is kept, and what its provider is told of it."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from loki_twisted.agents.interface import LaunchPlan, LaunchRequest
from loki_twisted.model.budget import Budget
from loki_twisted.model.sessions import Session
from loki_twisted.model.wire import StartSession
from loki_twisted.sessions.allowance import UNLIMITED

DEFAULT_PROVIDER = "claude"
"""That of a session that names none."""

_REQUEST = "request"
_DRIVER = "driver"
ASKED = frozenset({_REQUEST, _DRIVER})
"""The parts of names of cursors in which a request is stored."""


def cursors_of(session_id: str, wanted: StartSession, plan: LaunchPlan) -> dict[str, str]:
    """Say what to store of a request: so the next server knows whose language the agent speaks."""
    return stored_request(session_id, wanted, plan.driven_by)


def stored_request(session_id: str, wanted: StartSession, driven_by: str) -> dict[str, str]:
    """
    Say what :func:`asked_of` is to find.

    :param driven_by: The provider whose driver the agent needs.
    """
    return {
        f"{session_id}/{_REQUEST}": msgspec.json.encode(wanted).decode(),
        f"{session_id}/{_DRIVER}": driven_by,
    }


def asked_of(session_id: str, cursors: Mapping[str, str]) -> tuple[StartSession, str]:
    """
    Read what was stored of a request.

    :returns: The request, and the provider whose driver the agent needs.
    :raises KeyError: if nothing was.
    """
    text = cursors[f"{session_id}/{_REQUEST}"]
    driver = cursors.get(f"{session_id}/{_DRIVER}", "")
    return msgspec.json.decode(text, type=StartSession), driver


def request_of(
    session: Session, wanted: StartSession, loki_dir: str, provider: str
) -> LaunchRequest:
    """Say a request in the words of providers."""
    return LaunchRequest(
        session_id=session.id,
        project_dir=session.project_dir,
        loki_dir=loki_dir,
        provider=provider,
        prd_path=session.prd_path,
        prompt=wanted.prompt,
        model=wanted.model,
        dry_run=wanted.options.dry_run,
        verbose=wanted.options.verbose,
        conversation=session.conversation,
        stays_open=wanted.options.stay_open,
        direct=wanted.options.direct,
        command=wanted.command,
        speed=wanted.options.speed,
    )


def budget_of(wanted: StartSession) -> Budget:
    """What a session may spend."""
    options = wanted.options
    if options.budget_usd is None and options.max_tokens is None:
        return UNLIMITED
    return Budget(budget_usd=options.budget_usd, max_tokens=options.max_tokens)
