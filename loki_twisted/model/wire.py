"""
What clients send and what they are answered, as declared types.

The same declarations validate requests, make the OpenAPI document, encode the
answers and decode them again in the client. Field names are snake_case here
and camelCase on the wire. Events, sessions and tasks are on the wire as
``model/events.py``, ``model/sessions.py`` and ``model/tasks.py`` declare them.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from loki_twisted.model.events import Event
from loki_twisted.model.inputs import Input
from loki_twisted.model.ledger import Grouping, LedgerLine
from loki_twisted.model.messages import Delivery, Message, MessageStatus
from loki_twisted.model.sessions import AgentCounts, Session, SessionStatus
from loki_twisted.model.spending import CostOrigin
from loki_twisted.model.tasks import Task


class Shape(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """The base of what the server answers: fields may be added later."""


class Request(
    msgspec.Struct, frozen=True, rename="camel", kw_only=True, forbid_unknown_fields=True
):
    """The base of what clients send: a field that we do not know is an error."""


# Requests


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


_Text = Annotated[str, Meta(min_length=1, max_length=100_000)]


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


# Answers


class SessionOrder(Shape, frozen=True, kw_only=True):
    """An order to a session was given: which session, where it stands now, in words."""

    session_id: str
    status: SessionStatus
    message: str


class SessionMessage(Shape, frozen=True, kw_only=True):
    """Something was done for a session."""

    session_id: str
    message: str


class Pagination(Shape, frozen=True, kw_only=True):
    """
    Where a page lies in the whole.

    ``nextCursor`` is null on the last page, and where a list is read by offset alone. Given as
    ``after``, it asks for the page behind this one, whatever has changed in the meantime.
    """

    total: int
    limit: int
    offset: int
    has_more: bool
    next_cursor: str | None = None


class InputGiven(Shape, frozen=True, kw_only=True):
    """
    What became of a text for an agent.

    ``inputId`` is the input that it answered, or ``messageId`` the message that it is, with where
    that stands; both are null for a run of Loki Mode, which reads it from a file.
    """

    session_id: str
    message: str
    input_id: str | None = None
    message_id: str | None = None
    delivery: Delivery | None = None
    status: MessageStatus | None = None


class InputDetail(Shape, frozen=True, kw_only=True):
    """One input."""

    input: Input


class OpenInputs(Shape, frozen=True, kw_only=True):
    """The inputs of all sessions that are open, oldest first, and how many."""

    inputs: list[Input]
    count: int


class InputList(Shape, frozen=True, kw_only=True):
    """A page of the inputs of a session, newest first."""

    inputs: list[Input]
    pagination: Pagination


class MessageList(Shape, frozen=True, kw_only=True):
    """A page of the messages to the agent of a session, newest first."""

    messages: list[Message]
    pagination: Pagination


class SessionSummary(Shape, frozen=True, kw_only=True):
    """Counts of a session's tasks by status."""

    total: int
    pending: int
    running: int
    completed: int
    failed: int


class SessionDetail(Shape, frozen=True, kw_only=True):
    """One session with the counts of what it works on."""

    session: Session
    tasks: SessionSummary
    agents: AgentCounts


class SessionList(Shape, frozen=True, kw_only=True):
    """Sessions, newest first; how many match in all, and how many of all run."""

    sessions: list[Session]
    total: int
    running: int


class TaskSummary(Shape, frozen=True, kw_only=True):
    """Counts of tasks by status; pending has the queued ones in it."""

    pending: int
    running: int
    completed: int
    failed: int


class SessionTasks(Shape, frozen=True, kw_only=True):
    """A page of one session's tasks."""

    tasks: list[Task]
    pagination: Pagination
    summary: TaskSummary


class TaskList(Shape, frozen=True, kw_only=True):
    """A page of the tasks of all sessions, newest first."""

    tasks: list[Task]
    pagination: Pagination


class TaskSelection(Shape, frozen=True, kw_only=True):
    """Tasks of one kind, all or the first of them; ``count`` is how many there are in all."""

    tasks: list[Task]
    count: int


class TaskDetail(Shape, frozen=True, kw_only=True):
    """One task."""

    task: Task


class UsageReport(Shape, frozen=True, kw_only=True):
    """
    What was spent, added up.

    ``sum`` is of all lines that the question is about, not only of those of the page; its ``key``
    is empty.
    """

    by: Grouping
    lines: list[LedgerLine]
    sum: LedgerLine
    pagination: Pagination


class EventHistory(Shape, frozen=True, kw_only=True):
    """
    Some events, oldest first.

    From the number ``complete_from`` on (on the wire ``completeFrom``; the first one in an event's
    id) none that matches is missing between them. Of what was before it there is only what running
    sessions keep of their past. A server that does not tell leaves it out; then it is None.
    """

    events: list[Event]
    count: int
    complete_from: int | None = None


class EventStats(Shape, frozen=True, kw_only=True):
    """
    The stream in figures.

    ``historySize`` is the number of events in the log; ``eventsPerSecond`` is
    the mean over the last minute; ``lag`` is how many events the slowest
    subscriber is behind.
    """

    subscribers: int
    history_size: int
    oldest_event_id: str | None
    newest_event_id: str | None
    events_per_second: float
    lag: int


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
    """The machine and what runs on it. Memory is in bytes, ``loadAverage`` of the last minute."""

    platform: str
    arch: str
    python_version: str
    twisted_version: str
    sqlite_version: str
    cpus: int
    memory_used: int
    load_average: float


class Status(Shape, frozen=True, kw_only=True):
    """The server in detail."""

    version: str
    uptime: int
    uptime_formatted: str
    providers: dict[str, bool]
    sessions: SessionCounts
    events: StreamCounts
    system: System
    problems: list[str]


class Problem(Shape, frozen=True, kw_only=True, omit_defaults=True):
    """What every error is answered with: a sentence, a code from the table, and more."""

    error: str
    code: str
    details: dict[str, Any] | None = None
