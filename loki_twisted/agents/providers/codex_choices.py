"""What people can choose where codex asks for a permission, and the result that each choice is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from loki_twisted.agents.providers import telling
from loki_twisted.agents.providers.members import list_of, object_of, text_of
from loki_twisted.model.inputs import Effect, Option

DECLINE: Final = "decline"
"""The choice that lets codex go on without."""

Choice = tuple[Option, Mapping[str, Any]]
"""Something that can be chosen, and the result that it is."""

_MOST: Final = 20
_USUAL: Final = ("accept", "acceptForSession", DECLINE, "cancel")
_LABELS: Final[Mapping[str, tuple[str, Effect]]] = {
    "accept": ("Allow", Effect.ALLOW),
    "acceptForSession": ("Allow from now on", Effect.ALLOW),
    "acceptWithExecpolicyAmendment": ("Allow, also commands like it from now on", Effect.ALLOW),
    DECLINE: ("Deny", Effect.DENY),
    "cancel": ("Deny, and leave off", Effect.DENY),
}
_NETWORK: Final = "applyNetworkPolicyAmendment"


def choices_of_command(params: Mapping[str, Any]) -> Sequence[Choice]:
    """
    What can be decided of a command: what codex offers, else what it takes.

    It takes a denial with which it goes on also where it offers only one with which it leaves off.
    """
    offered = list_of(params, "availableDecisions") or _for_command(params)
    if DECLINE not in offered:
        place = offered.index("cancel") if "cancel" in offered else len(offered)
        offered = [*offered[:place], DECLINE, *offered[place:]]
    return _decisions(offered)


def choices_of_files() -> Sequence[Choice]:
    """What can be decided of a change of files."""
    return _decisions(_USUAL)


def choices_of_permissions(wanted: Mapping[str, Any]) -> Sequence[Choice]:
    """What can be decided of permissions that codex wants: all of them, or none."""
    return [
        (_allow("accept", "Allow for this turn"), {"permissions": wanted, "scope": "turn"}),
        (
            _allow("acceptForSession", "Allow from now on"),
            {"permissions": wanted, "scope": "session"},
        ),
        (_deny(DECLINE, "Deny"), {"permissions": {}}),
    ]


def choices_of_server(kept: Any) -> Iterator[Choice]:
    """
    What can be done about a request of an MCP server.

    :param kept: For how long an answer may be kept, if at all: names, or one name.
    """
    scopes = [kept] if isinstance(kept, str) else kept
    yield _allow("accept", "Allow"), {"action": "accept", "content": {}}
    for scope, label in (("session", "Allow from now on"), ("always", "Allow always")):
        if isinstance(scopes, list) and scope in scopes:
            told = {"action": "accept", "content": {}, "_meta": {"persist": scope}}
            yield _allow(f"accept-{scope}", label), told
    yield _deny(DECLINE, "Deny"), {"action": DECLINE, "content": None}
    yield _deny("cancel", "Deny, and leave off"), {"action": "cancel", "content": None}


def _for_command(params: Mapping[str, Any]) -> Sequence[Any]:
    rule, hosts = list_of(params, "proposedExecpolicyAmendment"), "proposedNetworkPolicyAmendments"
    amended = {"acceptWithExecpolicyAmendment": {"execpolicy_amendment": rule}}
    applied = [{_NETWORK: {"network_policy_amendment": each}} for each in list_of(params, hosts)]
    return [*_USUAL[:2], *([amended] if rule else []), *applied, *_USUAL[2:]]


def _decisions(offered: Sequence[Any]) -> Sequence[Choice]:
    """Make options of decisions: texts, or objects whose first member names them."""
    choices: dict[str, Choice] = {}
    for each in offered[:_MOST]:
        name = next(iter(each), "") if isinstance(each, dict) else each
        if not isinstance(name, str) or not name:
            continue
        label, effect = _host(each) if name == _NETWORK else _LABELS.get(name, (name, None))
        value = telling.name(name if name not in choices else f"{name}-{len(choices)}")
        option = Option(value=value, label=telling.name(label), effect=effect)
        choices[value] = option, {"decision": each}
    return list(choices.values())


def _host(decision: Any) -> tuple[str, Effect]:
    rule = object_of(object_of(decision, _NETWORK), "network_policy_amendment")
    is_allowed = text_of(rule, "action") == "allow"
    word, effect = ("Allow", Effect.ALLOW) if is_allowed else ("Deny", Effect.DENY)
    return f"{word} {text_of(rule, 'host')} from now on", effect


def _allow(value: str, label: str) -> Option:
    return Option(value=value, label=label, effect=Effect.ALLOW)


def _deny(value: str, label: str) -> Option:
    return Option(value=value, label=label, effect=Effect.DENY)
