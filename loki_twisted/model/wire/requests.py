"""What clients send: to start a session, to go on with it, to talk to its agent."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from loki_twisted.model.messages import Delivery
from loki_twisted.model.wire.shapes import Request

_Text = Annotated[str, Meta(min_length=1, max_length=100_000)]


class StartOptions(Request, frozen=True, kw_only=True):
    """
    How a session is to be run. None is without limit.

    ``timeout`` is in milliseconds, from the start; ``budgetUsd`` in US dollars. ``stayOpen`` keeps
    the agent for more messages when it has done its work. ``onUnanswered`` says what becomes of a
    question that nobody answers within ``inputTimeout`` milliseconds: ``deny``, ``allow`` or
    ``wait``. ``direct`` means the provider's own CLI, even where Loki Mode could run it.
    ``speed`` is for a recording that is played: how many times as fast, 0 without any wait.
    """

    dry_run: bool = False
    verbose: bool = False
    timeout: Annotated[int, Meta(ge=1, le=2_592_000_000)] | None = None
    stay_open: bool = False
    on_unanswered: Literal["deny", "allow", "wait"] | None = None
    input_timeout: Annotated[int, Meta(ge=1_000, le=2_592_000_000)] | None = None
    direct: bool = False
    speed: Annotated[float, Meta(ge=0, le=1_000_000)] = 1.0
    budget_usd: Annotated[float, Meta(gt=0, le=1_000_000)] | None = None
    max_tokens: Annotated[int, Meta(ge=1, le=1_000_000_000_000)] | None = None


class StartSession(Request, frozen=True, kw_only=True):
    """
    Ask for a session.

    ``prdPath`` is relative to ``projectDir``, and that to the server's own
    project directory, which it is by default. ``queue`` makes the session wait for a
    place where it would else be refused: a higher ``priority`` goes first, and among equals who
    came first. ``command`` is a program and its arguments, for a provider that runs any program;
    no shell sees them.
    """

    prd_path: Annotated[str, Meta(min_length=1, max_length=4096)] | None = None
    provider: Annotated[str, Meta(pattern="^[a-z][a-z0-9_-]{0,31}$")] | None = None
    options: StartOptions = StartOptions()
    prompt: Annotated[str, Meta(min_length=1, max_length=100_000)] | None = None
    project_dir: Annotated[str, Meta(min_length=1, max_length=4096)] | None = None
    model: Annotated[str, Meta(pattern="^[A-Za-z0-9][A-Za-z0-9._:/@-]{0,127}$")] | None = None
    queue: bool = False
    priority: Annotated[int, Meta(ge=-100, le=100)] = 0
    command: (
        Annotated[list[Annotated[str, Meta(max_length=30_000)]], Meta(min_length=1, max_length=64)]
        | None
    ) = None


class GiveInput(Request, frozen=True, kw_only=True):
    """
    Send a text to the agent of a session.

    If it has asked exactly one thing, this is the answer; else it is the next message. ``delivery``
    is ``next``: when the agent has done what it is doing; or ``now``: at once, where it takes that.
    """

    input: _Text
    context: Annotated[str, Meta(max_length=100_000)] | None = None
    delivery: Delivery = Delivery.NEXT


class AnswerInput(Request, frozen=True, kw_only=True):
    """
    Answer what an agent asks.

    ``answer`` is the value of an option, several where several may be chosen, or a text where one
    is taken; ``message`` is what the agent is told beside it, why not for example.
    """

    answer: _Text | Annotated[list[_Text], Meta(min_length=1, max_length=100)]
    message: Annotated[str, Meta(max_length=100_000)] | None = None


class ContinueSession(Request, frozen=True, kw_only=True):
    """Go on with the conversation of a session that has ended: what is said next, and how."""

    message: _Text
    model: Annotated[str, Meta(pattern="^[A-Za-z0-9][A-Za-z0-9._:/@-]{0,127}$")] | None = None
    options: StartOptions = StartOptions()
    queue: bool = False
