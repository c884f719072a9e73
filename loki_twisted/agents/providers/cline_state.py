"""What a driver of ``cline`` has to remember, and how its texts are joined."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from loki_twisted.agents.outputs import Output
from loki_twisted.agents.providers import joining, telling
from loki_twisted.agents.providers.cleaning import cut
from loki_twisted.agents.providers.joining import NONE_HELD, Held
from loki_twisted.agents.providers.plans import Plan
from loki_twisted.agents.providers.programs import CLINE
from loki_twisted.model.spending import NOTHING, Spending

"""The name of the provider, of its program, and of the sort of agent."""

MOST_AGENTS: Final = 100
"""So many of its agents are known at a time; further ones are not told."""

COMPLETED: Final = "completed"
ABORTED: Final = "aborted"
TEXT: Final = "text"
THINKING: Final = "thinking"

_MOST_WORDS: Final = 2048


class ClineState(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """
    Where a run of ``cline`` stands.

    :ivar key: That of the lines of the bridge; empty before its first.
    :ivar model: As it was said.
    :ivar held: A text that has not ended.
    :ivar has_parts: Whether texts come in parts, so that their whole at the end is nothing new.
    :ivar agents: Its agents that were spawned and have not ended, by id: None for itself, else
        the id of the parent.
    :ivar open: The numbers of the approvals that nobody has decided.
    :ivar asked: How many there were.
    :ivar is_mute: Whether it has said that it cannot ask.
    :ivar spent: What all of its run has cost so far.
    :ivar counted: The time of the last request of the older schema that was booked.
    :ivar plan: The tasks of its team.
    :ivar problem: The last error that it told, in words.
    :ivar finish: How the run ended, in its own word; empty before that.
    :ivar agent_finish: The same of its agent, which says so first.
    :ivar words: Its last words.
    :ivar is_told: Whether the end of its work was told.
    :ivar unknown: How many lines were not known.
    """

    key: str = ""
    model: str = ""
    held: Held = NONE_HELD
    has_parts: bool = False
    agents: Mapping[str, str | None] = {}
    open: tuple[int, ...] = ()
    asked: int = 0
    is_mute: bool = False
    spent: Spending = NOTHING
    counted: int = 0
    plan: Plan = ()
    problem: str = ""
    finish: str = ""
    agent_finish: str = ""
    words: str = ""
    is_told: bool = False
    unknown: int = 0

    def but(self, **changes: Any) -> ClineState:
        """Give the same with changes."""
        return msgspec.structs.replace(self, **changes)


Step = tuple[ClineState, Sequence[Output]]
"""What a line comes to: the state after it, and what is told."""


def unknown(state: ClineState, _: object = None) -> Step:
    """Count a line that is not known."""
    return state.but(unknown=state.unknown + 1), ()


def with_problem(state: ClineState, words: str) -> ClineState:
    """Remember the last thing that went wrong."""
    return state.but(problem=cut(telling.text(words), _MOST_WORDS)) if words else state


def with_words(state: ClineState, words: str) -> ClineState:
    """Remember its last words."""
    return state.but(words=cut(telling.text(words), _MOST_WORDS)) if words else state


def spoken(state: ClineState) -> tuple[ClineState, list[Output]]:
    """Tell what there is of a text that goes on."""
    held = state.held
    if not held.text:
        return state, []
    return (
        state.but(held=Held(held.kind, "", held.told + len(held.text))),
        told_text(held.kind, held.text),
    )


def flushed(state: ClineState) -> tuple[ClineState, list[Output]]:
    """Tell what there is of a text that has ended."""
    state, told = spoken(state)
    return (state if state.held == NONE_HELD else state.but(held=NONE_HELD)), told


def with_text(state: ClineState, kind: str, part: str | None, whole: str | None) -> Step:
    """
    Take more of a text.

    :param kind: :data:`TEXT` or :data:`THINKING`; another than before is another text.
    :param part: What is new.
    :param whole: All of it so far, which says more than the part, where it is there.
    """
    told: list[Output] = []
    is_another = whole is not None and len(whole) < state.held.told + len(state.held.text)
    if state.held.kind != kind or is_another:
        state, told = flushed(state)
        state = state.but(held=Held(kind), has_parts=True)
    if whole is not None:
        held, text = joining.grow(state.held, whole)
    else:
        held, text = joining.add(state.held, part or "")
    return state.but(held=held), [*told, *told_text(kind, text)]


def told_text(kind: str, text: str) -> list[Output]:
    """Tell a text, if it says anything."""
    if not text.strip():
        return []
    tell = telling.thought if kind == THINKING else telling.said
    return [tell(telling.MAIN, CLINE, text)]
