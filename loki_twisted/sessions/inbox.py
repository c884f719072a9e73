"""
The inputs of a session: what its agent asks, and what becomes of that.

All of it is pure. The first answer counts; the same one again changes nothing; another one is a
conflict. What nobody answers within its limit goes by the session's policy.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Final

import attrs
import msgspec

from loki_twisted.agents.outputs import Asked
from loki_twisted.model.errors import Conflict, InvalidRequest, NotFound
from loki_twisted.model.events import Fact
from loki_twisted.model.inputs import Answer, Effect, Input, InputKind, InputStatus, Option
from loki_twisted.model.timestamps import bounded_ms, iso_from_ms, ms_from_iso

POLICY: Final = "policy"
"""Who answers what nobody answers."""

_BEFORE_AGENT_MS: Final = 1_000
"""How long before the agent itself gives up the policy answers."""


class OnUnanswered(StrEnum):
    """What becomes of an input that nobody answers within its limit."""

    DENY = "deny"
    """A permission is denied, of a question its default or its first option is taken."""
    ALLOW = "allow"
    """A permission is given, once; of a question the same is taken."""
    WAIT = "wait"
    """It stays open as long as the agent waits."""


@attrs.frozen(slots=True)
class InputPolicy:
    """
    How long inputs stay open, and what then.

    :ivar limit_ms: None for as long as the agent waits.
    """

    on_unanswered: OnUnanswered = OnUnanswered.WAIT
    limit_ms: int | None = None


def opened(
    asked: Asked, input_id: str, session_id: str, now_ms: int, policy: InputPolicy
) -> tuple[Input, Fact]:
    """Make an input of what an agent asks, and its event."""
    made = Input(
        id=input_id,
        session_id=session_id,
        kind=asked.kind,
        prompt=asked.prompt,
        created_at=iso_from_ms(now_ms),
        details=asked.details,
        options=tuple(asked.options),
        multiple=asked.multiple,
        takes_text=asked.takes_text or not asked.options,
        default=asked.default,
        agent_id=asked.agent_id,
    )
    # Where the policy has no answer, the agent would wait for ever for the one that nobody gave.
    has_answer = answer_of_policy(made, policy.on_unanswered) is not None
    expires_ms = _expiry(asked, now_ms, policy if has_answer else InputPolicy())
    if expires_ms is not None:
        made = msgspec.structs.replace(made, expires_at=iso_from_ms(expires_ms))
    return made, _requested(made, None if expires_ms is None else expires_ms - now_ms)


def _expiry(asked: Asked, now_ms: int, policy: InputPolicy) -> int | None:
    """
    Say when an input is decided without people.

    Where the policy answers, that is before the agent gives up.
    """
    own = asked.timeout_ms
    if policy.on_unanswered is OnUnanswered.WAIT:
        return None if own is None else bounded_ms(now_ms + own)
    limits = [policy.limit_ms] if policy.limit_ms is not None else []
    if own is not None:
        limits.append(max(own - _BEFORE_AGENT_MS, own // 2))
    return bounded_ms(now_ms + min(limits)) if limits else None


def _requested(made: Input, timeout_ms: int | None) -> Fact:
    data: dict[str, Any] = {"inputId": made.id, "kind": str(made.kind), "prompt": made.prompt}
    if made.options:
        data["options"] = [each.value for each in made.options]
        data["choices"] = [msgspec.to_builtins(each) for each in made.options]
    said = {
        "default": made.default,
        "agentId": made.agent_id,
        "timeout": timeout_ms,
        "expiresAt": made.expires_at,
    }
    data |= {name: value for name, value in said.items() if value is not None}
    if made.multiple:
        data["multiple"] = True
    if made.takes_text:
        data["takesText"] = True
    if made.details:
        data["details"] = made.details
        if isinstance(context := made.details.get("context"), str):
            data["context"] = context
    return Fact("input:requested", data)


def check_answer(asked: Input, answer: Answer) -> None:
    """
    Make sure that an answer is one.

    :raises InvalidRequest: if it chooses what is no option, several where one is to be chosen, or
        nothing.
    """
    options = {each.value for each in asked.options}
    unknown = [each for each in answer.values if each not in options]
    faults = []
    if not answer.values:
        faults.append(("answer", "says nothing"))
    if len(answer.values) > 1 and not asked.multiple:
        faults.append(("answer", "one has to be chosen, not several"))
    if unknown and not asked.takes_text:
        faults.append(("answer", f"{unknown[0]!r} is none of {', '.join(sorted(options))}"))
    if faults:
        raise InvalidRequest.of(faults)


def answered(
    asked: Input, answer: Answer, by: str, at: str, reason: str | None = None
) -> tuple[Input, Fact]:
    """
    Settle an input by an answer.

    :param by: Who answers.
    :param at: When, ISO 8601.
    :param reason: What the policy went by.
    """
    settled = msgspec.structs.replace(
        asked,
        status=InputStatus.ANSWERED,
        answer=answer,
        answered_by=by,
        answered_at=at,
        reason=reason,
    )
    data: dict[str, Any] = {
        "inputId": asked.id,
        "answer": list(answer.values),
        "answeredBy": by,
    }
    said = {"message": answer.message, "reason": reason}
    data |= {name: value for name, value in said.items() if value is not None}
    return settled, Fact("input:answered", data)


def withdrawn(asked: Input, reason: str, at: str) -> tuple[Input, Fact]:
    """Settle an input that nobody can answer any more."""
    settled = msgspec.structs.replace(
        asked, status=InputStatus.WITHDRAWN, reason=reason, answered_at=at
    )
    return settled, Fact("input:withdrawn", {"inputId": asked.id, "reason": reason})


def check_repeated(settled: Input, answer: Answer) -> None:
    """
    Take an answer to what is settled: the one that settled it is fine.

    :raises Conflict: for any other.
    """
    if settled.answer == answer:
        return
    details = {"inputId": settled.id, "status": str(settled.status)}
    if settled.status is InputStatus.WITHDRAWN:
        msg = f"It was withdrawn: {settled.reason}"
        raise Conflict(msg, details)
    said = settled.answer.values if settled.answer is not None else ()
    msg = f"It was answered already, by {settled.answered_by}: {', '.join(said)}."
    raise Conflict(msg, {**details, "answer": list(said)})


def has_expired(asked: Input, now_ms: int) -> bool:
    """Whether the limit of an input has passed."""
    return asked.expires_at is not None and ms_from_iso(asked.expires_at) <= now_ms


def answer_of_policy(asked: Input, policy: OnUnanswered) -> Answer | None:
    """
    Say what a policy answers; None if it has no answer to that.

    A plan is not approved by a policy that denies; a question has no side that is safe, so its
    default stands, or else its first option.
    """
    if policy is OnUnanswered.WAIT:
        return None
    if asked.kind is InputKind.QUESTION:
        value = asked.default or next((each.value for each in asked.options), None)
        return None if value is None else Answer(values=(value,))
    effect = Effect.ALLOW if policy is OnUnanswered.ALLOW else Effect.DENY
    chosen = _first_of(asked.options, effect)
    message = "Nobody answered in time."
    return None if chosen is None else Answer(values=(chosen.value,), message=message)


def _first_of(options: Sequence[Option], effect: Effect) -> Option | None:
    """The first option of an effect: by custom the one that goes least far."""
    return next((each for each in options if each.effect is effect), None)


def no_such_input(session_id: str, input_id: str) -> NotFound:
    """The error for an input that is not there."""
    msg = f"Session {session_id} has no input {input_id!r}."
    return NotFound(msg, {"sessionId": session_id, "inputId": input_id})
