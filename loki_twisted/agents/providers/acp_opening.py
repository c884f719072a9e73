"""
How a session with an agent of the Agent Client Protocol begins: what is asked of it once it has
greeted, and what its answers mean.

A conversation is continued by ``session/resume`` where the agent has that, else by
``session/load``, which begins with all that was said before.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs

from loki_twisted.agents.interface import LaunchRequest
from loki_twisted.agents.providers.acp_content import short
from loki_twisted.agents.providers.acp_state import Stage
from loki_twisted.agents.providers.cleaning import clean, cut
from loki_twisted.agents.providers.jsonrpc import Failure
from loki_twisted.agents.providers.members import fields_of, object_of, objects_of
from loki_twisted.agents.providers.prompts import prompt_of

VERSION: Final = 1
"""The version of the protocol that we speak."""

GREETING: Final[Mapping[str, Any]] = {
    "protocolVersion": VERSION,
    "clientCapabilities": {
        "fs": {"readTextFile": False, "writeTextFile": False},
        "terminal": False,
        "elicitation": {"form": {}},
    },
    "clientInfo": {"name": "loki_twisted", "version": "1"},
}
"""What we say of ourselves: people can be asked by forms, and nothing else is offered."""

ONLY_LOOKING: Final = "plan"
"""The id of the mode in which an agent changes nothing, for a dry run."""

AUTH_REQUIRED: Final = -32000
"""The code of the error for who has not logged in."""

_MOST_LOGINS: Final = 8
_MOST_OF_WORDS: Final = 1000
"""Bytes of a reason."""


@attrs.frozen(slots=True)
class Opening:
    """
    What opens the session.

    :ivar stage: Where the talk stands when it is sent.
    :ivar logins: The ways to log in that the agent has, in words.
    """

    method: str
    params: Mapping[str, Any]
    stage: Stage
    logins: str


@attrs.frozen(slots=True)
class OpenSession:
    """
    A session that is open.

    :ivar id: The agent's own name for it.
    :ivar model: Where the agent says it.
    """

    id: str
    model: str | None


@attrs.frozen(slots=True)
class Refusal:
    """Why there can be no session, in words."""

    words: str


def opening_of(request: LaunchRequest, greeting: Mapping[str, Any]) -> Opening | Refusal:
    """
    Say how the session is opened.

    :param greeting: The answer to ``initialize``.
    """
    version = greeting.get("protocolVersion")
    if type(version) is int and version != VERSION:
        return Refusal(f"It speaks version {version} of the protocol, and not {VERSION}.")
    logins = _logins_of(greeting.get("authMethods"))
    params = {"cwd": request.project_dir, "mcpServers": []}
    if request.conversation is None:
        return Opening("session/new", params, Stage.OPENING, logins)
    params = {"sessionId": request.conversation, **params}
    capabilities = object_of(greeting, "agentCapabilities")
    if isinstance(object_of(capabilities, "sessionCapabilities").get("resume"), dict):
        return Opening("session/resume", params, Stage.OPENING, logins)
    if capabilities.get("loadSession") is True:
        return Opening("session/load", params, Stage.LOADING, logins)
    return Refusal("It cannot go on with a conversation.")


def opened_as(request: LaunchRequest, result: Mapping[str, Any]) -> OpenSession | Refusal:
    """
    Say which session is open.

    :param result: The answer to what opened it.
    """
    session_id = request.conversation or _name(result.get("sessionId"))
    if not session_id:
        return Refusal("It gave the session no name.")
    modes = objects_of(object_of(result, "modes"), "availableModes")
    can_only_look = any(each.get("id") == ONLY_LOOKING for each in modes)
    if request.dry_run and not can_only_look:
        return Refusal("It has no mode in which it only looks, and it was to do no more.")
    return OpenSession(session_id, _model_of(result) or request.model)


def prompt_text(request: LaunchRequest) -> str | None:
    """What a request says first; None if that is nothing."""
    said = (request.prompt or "").strip()
    if request.prd_path is None:
        # As it is: no command line takes it for anything else, and a command of the agent's own
        # is one word.
        return said or None
    return prompt_of(request)


def words_of(failure: Failure, details: str, logins: str) -> str:
    """
    Say why something could not be done.

    :param details: What the agent says beside the message.
    """
    words = failure.message
    if details not in words:
        words = f"{words}: {details}"
    if failure.code == AUTH_REQUIRED:
        ways = f" It knows these ways: {logins}." if logins else ""
        words = f"It wants a login, which its own command can do ({words}).{ways}"
    return cut(clean(words), _MOST_OF_WORDS)


def _logins_of(methods: Any) -> str:
    known = methods[:_MOST_LOGINS] if isinstance(methods, list) else []
    names = [_name(each.get("name")) or _name(each.get("id")) for each in known if fields_of(each)]
    return ", ".join(filter(None, names))


def _model_of(result: Mapping[str, Any]) -> str | None:
    """The model, as a field of its own or as one of the options."""
    model = _name(object_of(result, "models").get("currentModelId"))
    for each in objects_of(result, "configOptions"):
        if each.get("category") == "model":
            model = model or _name(each.get("currentValue"))
    return model or None


def _name(value: Any) -> str:
    """A name that can be given back as it is; empty for what is none."""
    return value if isinstance(value, str) and short(value) == value else ""
