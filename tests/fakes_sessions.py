"""Small real stand-ins for the rooms under the session service."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import attrs
import msgspec
from twisted.internet.defer import Deferred, fail, succeed
from zope.interface import implementer

from loki_twisted.agents.driving import Abilities, IDriver, IProviders, Messaging
from loki_twisted.agents.interface import (
    LOKI_MODE,
    IAgent,
    IAgentListener,
    IAgentOutput,
    IAgentRunner,
    LaunchPlan,
    LaunchRequest,
    Stray,
)
from loki_twisted.agents.outputs import (
    Asked,
    Conversation,
    EndInput,
    Hindered,
    Outputs,
    Spent,
    Taken,
    Trouble,
    TurnBegan,
    TurnEnded,
    Verdict,
    Withdrawn,
    Write,
)
from loki_twisted.log.interface import Batch, Bounds, Ends, IEventLog, IRecords, Page
from loki_twisted.model.blocks import Block
from loki_twisted.model.errors import InvalidRequest, OtherInput, StorageFailed
from loki_twisted.model.events import Fact
from loki_twisted.model.filters import EventFilter
from loki_twisted.model.idempotency import CompletedRequest
from loki_twisted.model.inputs import (
    Answer,
    Effect,
    Input,
    InputKind,
    InputPage,
    InputStatus,
    Option,
)
from loki_twisted.model.ledger import LedgerEntry, LedgerPage, LedgerQuery
from loki_twisted.model.messages import Message, MessagePage, MessageStatus
from loki_twisted.model.sessions import Session, Steering
from loki_twisted.model.spending import CostOrigin, Spending
from loki_twisted.model.task_places import TaskPlace
from loki_twisted.model.tasks import Task, TaskCounts, TaskPage, TaskQuery
from loki_twisted.state.interface import (
    InputFate,
    IRunControl,
    IStateWatcher,
    LiveRun,
    Orders,
    RunEnding,
)
from tests.plain_ledger import plain_ledger


@implementer(IEventLog, IRecords)
class MemoryLog:
    """
    A log that keeps everything in memory, commits when told to, and can fail.

    :ivar automatic: Whether batches are committed at once.
    :ivar broken: Whether the next commits fail.
    """

    def __init__(self) -> None:
        self.automatic = True
        self.broken = False
        self.bounds = Bounds(1, 0)
        self.failure: str | None = None
        self.events: list[tuple[str, Fact]] = []
        self.rows: dict[str, Session] = {}
        self.task_rows: dict[tuple[str, str], Task] = {}
        self.kept: dict[str, str] = {}
        self.input_rows: dict[tuple[str, str], Input] = {}
        self.message_rows: dict[tuple[str, str], Message] = {}
        self.spent: list[LedgerEntry] = []
        self.done: dict[str, CompletedRequest] = {}
        self._waiting: list[tuple[Batch, Deferred[Bounds]]] = []

    def append(self, batch: Batch) -> Deferred[Bounds]:
        done: Deferred[Bounds] = Deferred()
        self._waiting.append((batch, done))
        if self.automatic:
            self.commit()
        return done

    def commit(self) -> None:
        """Commit (or refuse) what waits."""
        waiting, self._waiting = self._waiting, []
        if self.broken:
            for _, done in waiting:
                done.errback(StorageFailed("The disk is gone."))
            return
        for batch, _ in waiting:
            self._apply(batch)
        self.bounds = Bounds(1, len(self.events))
        for _, done in waiting:
            done.callback(self.bounds)

    def lose(self) -> None:
        """Have nothing of what waits, as after a crash."""
        self._waiting = []

    def _apply(self, batch: Batch) -> None:
        if batch.forget:
            self.rows.pop(batch.session_id, None)
            for rows in (self.task_rows, self.input_rows, self.message_rows):
                for key in [key for key in rows if key[0] == batch.session_id]:
                    del rows[key]
            for name in [n for n in self.kept if n.startswith(f"{batch.session_id}/")]:
                del self.kept[name]
        self.events += [(batch.session_id, fact) for fact in batch.facts]
        self._put_rows(batch)
        for name, value in batch.cursors.items():
            if value is None:
                self.kept.pop(name, None)
            else:
                self.kept[name] = value

    def _put_rows(self, batch: Batch) -> None:
        if batch.session is not None:
            self.rows[batch.session.id] = batch.session
        for task in batch.tasks:
            self.task_rows[task.session_id, task.id] = task
        for name in batch.removed_tasks:
            self.task_rows.pop((batch.session_id, name), None)
        self.input_rows |= {(each.session_id, each.id): each for each in batch.inputs}
        self.message_rows |= {(each.session_id, each.id): each for each in batch.messages}
        self.spent += batch.spent
        if batch.done_once is not None:
            self.done[batch.done_once.key] = batch.done_once

    def types(self, session_id: str | None = None) -> list[str]:
        """The types of all events so far, of one session or of all."""
        return [fact.type for name, fact in self.events if session_id in (None, name)]

    def observe(self, observer: Callable[[Sequence[Block]], None]) -> Callable[[], None]:
        raise NotImplementedError

    def read(
        self, after: int, wanted: EventFilter, max_bytes: int, before: int | None = None
    ) -> Deferred[Page]:
        raise NotImplementedError

    def behind_last(self, before: int, wanted: EventFilter, count: int) -> Deferred[int]:
        raise NotImplementedError

    def last_before(self, at_ms: int) -> Deferred[int]:
        raise NotImplementedError

    def ends(self) -> Deferred[Ends]:
        raise NotImplementedError

    def time_of(self, seq: int) -> Deferred[int | None]:
        raise NotImplementedError

    def sessions(self, limit: int, offset: int) -> Deferred[list[Session]]:
        in_order = sorted(self.rows.values(), key=lambda s: s.started_at)
        return succeed(in_order[offset : offset + limit])

    def tasks(self, query: TaskQuery) -> Deferred[TaskPage]:
        rows = tuple(
            task for task in self.task_rows.values() if query.session_id in (None, task.session_id)
        )
        begin = query.offset if query.after is None else query.after.number
        end = None if query.limit is None else begin + query.limit
        place = None if end is None or end >= len(rows) else TaskPlace("", end)
        return succeed(TaskPage(rows[begin:end], len(rows), place))

    def task(self, session_id: str, task_id: str) -> Deferred[Task | None]:
        return succeed(self.task_rows.get((session_id, task_id)))

    def task_counts(self, session_id: str) -> Deferred[TaskCounts]:
        rows = [task for name, task in self.task_rows.items() if name[0] == session_id]
        return succeed(TaskCounts(total=len(rows)))

    def open_inputs(self) -> Deferred[list[Input]]:
        return succeed(
            [each for each in _oldest_first(self.input_rows) if each.status is InputStatus.OPEN]
        )

    def inputs(self, session_id: str, limit: int, offset: int) -> Deferred[InputPage]:
        found = [each for each in _oldest_first(self.input_rows) if each.session_id == session_id]
        page = found[::-1][offset : offset + limit]
        return succeed(InputPage(tuple(page), len(found)))

    def input(self, session_id: str, input_id: str) -> Deferred[Input | None]:
        return succeed(self.input_rows.get((session_id, input_id)))

    def queued_messages(self) -> Deferred[list[Message]]:
        rows = _oldest_first(self.message_rows)
        return succeed([each for each in rows if each.status is MessageStatus.QUEUED])

    def messages(self, session_id: str, limit: int, offset: int) -> Deferred[MessagePage]:
        found = [each for each in _oldest_first(self.message_rows) if each.session_id == session_id]
        page = found[::-1][offset : offset + limit]
        return succeed(MessagePage(tuple(page), len(found)))

    def ledger(self, query: LedgerQuery) -> Deferred[LedgerPage]:
        return succeed(plain_ledger(self.spent, query))

    def done_once(self, key: str) -> Deferred[CompletedRequest | None]:
        return succeed(self.done.get(key))

    def cursors(self, prefix: str, part: str = "") -> Deferred[dict[str, str]]:
        kept = self.kept.items()
        return succeed({n: v for n, v in kept if n.startswith(prefix) and part in n})


Kept = TypeVar("Kept", Input, Message)


def _oldest_first(rows: Mapping[tuple[str, str], Kept]) -> list[Kept]:
    return sorted(rows.values(), key=lambda each: each.created_at)


@implementer(IAgent)
@attrs.define(eq=False)
class FakeAgent:
    """An agent that notes its orders and prints what the test says."""

    pid: int | None = 4711
    orders: list[Any] = attrs.field(factory=list)
    listener: IAgentListener | None = None
    cursors: Mapping[str, str] | None = None
    deaf: Exception | None = None
    unread: Exception | None = None
    limits: tuple[int, int] = (0, 0)

    def follow(
        self,
        cursors: Mapping[str, str],
        listener: IAgentListener,
        line_limit: int = 0,
        value_limit: int = 0,
    ) -> None:
        if self.unread is not None:
            raise self.unread
        self.cursors, self.listener, self.limits = cursors, listener, (line_limit, value_limit)

    def stop(self) -> None:
        self.orders.append("stop")

    def pause(self) -> None:
        self.orders.append("pause")

    def resume(self) -> None:
        self.orders.append("resume")

    def send(self, data: bytes, at: int | None = None) -> int:
        if self.deaf is not None:
            raise self.deaf
        size = sum(len(each) for each in self.orders if isinstance(each, bytes))
        stands = b"" if at is None else self.heard.encode()[at:]
        if not data.startswith(stands[: len(data)]):
            raise OtherInput.of(at or 0, size)
        rest = data if at is None else data[size - at :]
        if rest:
            self.orders.append(rest)
        return size + len(rest)

    def end_input(self) -> None:
        if "end" not in self.orders:
            self.orders.append("end")

    @property
    def heard(self) -> str:
        """All that was written to it."""
        return b"".join(each for each in self.orders if isinstance(each, bytes)).decode()


@implementer(IAgentOutput)
@attrs.define(eq=False)
class FakeAgentOutput:
    """A stream that a test writes to."""

    data: bytes = b""
    listeners: list[Callable[[], None]] = attrs.field(factory=list)
    closed: int = 0

    def write(self, data: bytes) -> None:
        """Print something, and ring."""
        self.data += data
        for heard in tuple(self.listeners):
            heard()

    def size(self) -> int:
        return len(self.data)

    def read(self, offset: int, count: int) -> bytes:
        return self.data[offset : offset + count]

    def listen(self, heard: Callable[[], None]) -> Callable[[], None]:
        self.listeners.append(heard)
        return lambda: self.listeners.remove(heard)

    def close(self) -> None:
        self.closed += 1


@implementer(IAgentRunner)
class FakeRunner:
    """Starts fake agents; ``starting`` holds the Deferreds while ``automatic`` is off."""

    def __init__(self) -> None:
        self.agents: dict[str, FakeAgent] = {}
        self.automatic = True
        self.error: Exception | None = None
        self.starting: list[Deferred[IAgent]] = []
        self.forgotten: list[str] = []
        self.plans: list[LaunchPlan] = []
        self.trouble: set[str] = set()
        self.unknown: list[Stray] = []
        self.unread: Exception | None = None
        self.outputs: dict[tuple[str, str], FakeAgentOutput] = {}

    def start(self, session_id: str, plan: LaunchPlan) -> Deferred[IAgent]:
        self.plans.append(plan)
        if self.error is not None:
            return fail(self.error)
        agent = self.agents[session_id] = FakeAgent(unread=self.unread)
        if self.automatic:
            return succeed(agent)
        waiting: Deferred[IAgent] = Deferred()
        self.starting.append(waiting)
        return waiting

    def adopt(self, session_id: str) -> IAgent | None:
        if session_id in self.trouble:
            raise OSError(24, "Too many open files")
        return self.agents.get(session_id)

    def strays(self, is_known: Callable[[str], bool]) -> Sequence[Stray]:
        return [each for each in self.unknown if not is_known(each.session_id)]

    def output(self, session_id: str, stream: str) -> IAgentOutput | None:
        return self.outputs.get((session_id, stream))

    def forget(self, session_id: str) -> None:
        self.forgotten.append(session_id)

    def detach(self) -> Deferred[None]:
        return succeed(None)


class _Memory(msgspec.Struct, frozen=True, omit_defaults=True):
    held: str = ""
    is_busy: bool = False


@implementer(IDriver)
class FakeDriver:
    """
    Says what its lines tell it to say; by default each is a log line.

    ``<type> <phase or task>`` is that fact. ``ask <key>`` asks for a permission, ``ask <key> <ms>``
    for so long; ``question <key>`` puts a question; ``withdraw <key>`` takes it back. ``turn``,
    ``done`` and ``failed <words>`` are turns; it takes messages between them.
    ``total <cost> <tokens>`` is a total of what was spent. ``hold <text>`` is said when it is
    quiet, at ``tell``, or when it is told something. ``limited <ms>`` and ``retrying`` are
    troubles. ``named <conversation>`` names it. ``end`` ends its input.
    """

    line_limit = 65536
    value_limit = 1000
    says_done = False

    def __init__(self, memory: str = "", prompt: str | None = None) -> None:
        self._is = msgspec.json.decode(memory or b"{}", type=_Memory)
        self._prompt = prompt

    @property
    def is_ready(self) -> bool:
        return not self._is.is_busy

    takes_now = False

    def begin(self) -> Outputs:
        if self._prompt is None:
            return ()
        self._be(is_busy=True)
        return [TurnBegan(), Write(f"do {self._prompt}\n")]

    def line(self, stream: str, text: str) -> Outputs:
        head, _, rest = text.partition(" ")
        if text == "unbearable":
            raise OverflowError(text)
        if head.startswith("phase:"):
            return [Fact(head, {"phase": rest})]
        if head.startswith("task:"):
            return [Fact(head, {"taskId": rest, "title": rest})]
        if head in ("ask", "question"):
            return [self._asked(head, *rest.split(" "))]
        if head in ("turn", "done", "failed", "interrupted"):
            self._be(is_busy=head == "turn")
        if head == "hold":
            self._be(held=self._is.held + rest)
        found: Mapping[str, Callable[[], Outputs]] = {
            "withdraw": lambda: [Withdrawn(rest, "changed its mind")],
            "turn": lambda: [TurnBegan()],
            "done": lambda: [TurnEnded(Verdict.DONE)],
            "failed": lambda: [TurnEnded(Verdict.FAILED, rest)],
            "interrupted": lambda: [TurnEnded(Verdict.INTERRUPTED)],
            "total": lambda: [_spent(*rest.split(" "))],
            "hold": list,
            "tell": self.quiet,
            "limited": lambda: [Hindered(Trouble.RATE_LIMITED, "Too much.", int(rest))],
            "retrying": lambda: [Hindered(Trouble.RETRYING, "Once more.")],
            "works": lambda: [Fact("agent:output", {"agentId": "main", "output": rest})],
            "named": lambda: [Conversation(rest)],
            "end": lambda: [EndInput()],
        }
        if head in found:
            return found[head]()
        level = "info" if stream == "stdout" else "error"
        return [Fact(f"log:{level}", {"level": level, "message": text})]

    def _asked(self, kind: str, key: str, timeout: str = "") -> Asked:
        own = int(timeout) if timeout else None
        if kind == "question":
            return Asked(
                key=key,
                kind=InputKind.QUESTION,
                prompt=f"Which {key}?",
                takes_text=True,
                timeout_ms=own,
            )
        options = [
            Option(value="allow", label="Yes", effect=Effect.ALLOW),
            Option(value="deny", label="No", effect=Effect.DENY),
        ]
        return Asked(
            key=key,
            kind=InputKind.PERMISSION,
            prompt=f"May I {key}?",
            options=options,
            timeout_ms=own,
        )

    def quiet(self) -> Outputs:
        held = self._is.held
        self._be(held="")
        return [Fact("log:info", {"level": "info", "message": held})] if held else ()

    def say(self, message: Message) -> Outputs:
        held = self.quiet()
        self._be(is_busy=True)
        return [*held, TurnBegan(), Write(f"say {message.text}\n"), Taken(message.id)]

    def answer(self, key: str, answer: Answer) -> Outputs:
        return [*self.quiet(), Write(f"answer {key} {','.join(answer.values)}\n")]

    def interrupt(self) -> Outputs:
        return [Write("interrupt\n")] if self._is.is_busy else ()

    def wake(self) -> Outputs:
        return [Write("go on\n")]

    def ended(self) -> Outputs:
        return self.quiet()

    def memory(self) -> str:
        return "" if self._is == _Memory() else msgspec.json.encode(self._is).decode()

    def _be(self, **changes: Any) -> None:
        self._is = msgspec.structs.replace(self._is, **changes)


def _spent(cost: str, tokens: str) -> Spent:
    amount = Spending(cost=float(cost), input_tokens=int(tokens), api_calls=1)
    return Spent(amount, CostOrigin.REPORTED, counter="all")


@implementer(IProviders)
class FakeProviders:
    """Knows every provider but ``unknown``. ``loki`` takes its orders by files."""

    def available(self) -> Mapping[str, bool]:
        return {"claude": True}

    def plan(self, request: LaunchRequest) -> LaunchPlan:
        if request.provider == "unknown":
            raise InvalidRequest.of([("provider", "there is no such provider")])
        return LaunchPlan(
            argv=["/bin/true"],
            env={},
            cwd=request.project_dir,
            accepts_input=request.provider == "claude",
            steered_by=Steering.FILES if request.provider == LOKI_MODE else Steering.SIGNALS,
            driven_by=request.provider,
        )

    def abilities(self, provider: str) -> Abilities:
        return Abilities(asks=True, messaging=Messaging.NEXT, continues=provider == "claude")

    def driver(self, request: LaunchRequest, memory: str) -> IDriver:
        return FakeDriver(memory, request.prompt)


@implementer(IStateWatcher)
class FakeWatcher:
    """Notes which directories are watched."""

    def __init__(self) -> None:
        self.watched: list[str] = []

    def part_of_cursors(self, project_dir: str) -> str:
        return ""

    def watch(self, project_dir: str, cursors: Mapping[str, str]) -> Deferred[None]:
        if project_dir not in self.watched:
            self.watched.append(project_dir)
        return succeed(None)

    def settle(self, project_dir: str) -> Deferred[None]:
        return succeed(None)

    def unwatch(self, project_dir: str) -> None:
        if project_dir in self.watched:
            self.watched.remove(project_dir)

    def stop(self) -> Deferred[None]:
        return succeed(None)

    def problems(self) -> Sequence[str]:
        return ()


@implementer(IRunControl)
class FakeControl:
    """
    Knows the runs that a test names, and notes the orders.

    :ivar runs: By project directory.
    :ivar orders_of: By project directory.
    :ivar fate: Of whatever input was given.
    :ivar endings: By session.
    """

    def __init__(self) -> None:
        self.runs: dict[str, list[LiveRun]] = {}
        self.orders_of: dict[str, Orders] = {}
        self.fate: tuple[InputFate, str | None] = (InputFate.WAITING, None)
        self.endings: dict[str, RunEnding] = {}
        self.given: list[tuple[str, str]] = []
        self.cleared: list[tuple[str, int, str | None]] = []

    def live_runs(self, project_dir: str) -> Sequence[LiveRun]:
        return self.runs.get(project_dir, [])

    def live_run(self, project_dir: str, name: str, pid: int) -> LiveRun | None:
        return next((run for run in self.live_runs(project_dir) if run.pid == pid), None)

    def orders(self, project_dir: str) -> Orders:
        return self.orders_of.get(project_dir, Orders())

    def request_pause(self, project_dir: str) -> None:
        self._change(project_dir, pause=True)

    def withdraw_pause(self, project_dir: str) -> None:
        self._change(project_dir, pause=False)

    def request_stop(self, project_dir: str) -> None:
        self._change(project_dir, stop=True)

    def _change(self, project_dir: str, **changes: bool) -> None:
        self.orders_of[project_dir] = attrs.evolve(self.orders(project_dir), **changes)

    def give_input(self, project_dir: str, text: str) -> str:
        self.given.append((project_dir, text))
        return "receipt"

    def fate_of_input(self, project_dir: str, receipt: str) -> tuple[InputFate, str | None]:
        return self.fate

    def ending(self, project_dir: str, name: str, pid: int, since_ms: int) -> RunEnding | None:
        return self.endings.get(name)

    def clear(self, project_dir: str, name: str, pid: int, script: str | None) -> None:
        self.cleared.append((name, pid, script))
