"""A whole server in memory: the rooms behind the API as small real classes, and raw connections."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import attrs
import msgspec
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransportWithDisconnection
from twisted.web.resource import IResource
from zope.interface import implementer

from loki_twisted.access.interface import Entry, IAudit
from loki_twisted.access.keyring import Keyring
from loki_twisted.access.tokens import plain_token
from loki_twisted.model.errors import Conflict, NotFound, SessionNotFound
from loki_twisted.model.idempotency import CompletedRequest, IdempotencyKey
from loki_twisted.model.inputs import Answer, Input, InputPage, InputStatus
from loki_twisted.model.ledger import LedgerEntry, LedgerPage, LedgerQuery
from loki_twisted.model.messages import Delivery, Message, MessagePage, MessageStatus
from loki_twisted.model.sessions import FINAL, AgentCounts, Session, SessionStatus
from loki_twisted.model.spending import CostOrigin
from loki_twisted.model.task_places import TaskPlace
from loki_twisted.model.tasks import (
    EncodedTasks,
    OpenTasks,
    Task,
    TaskCounts,
    TaskPage,
    TaskQuery,
    TaskStatus,
)
from loki_twisted.model.timestamps import iso_from_ms
from loki_twisted.model.wire import ProviderAbilities, ProviderDetail, StartSession, System
from loki_twisted.sessions.interface import (
    GivenInput,
    IOutput,
    ISessions,
    OutputStream,
    SessionPage,
    SessionQuery,
)
from loki_twisted.stream.hub import Hub
from loki_twisted.web.api import make_interior
from loki_twisted.web.attempts import FailedAttempts
from loki_twisted.web.entrance import Entrance
from loki_twisted.web.event_lists import EventLists
from loki_twisted.web.gate import Gate, GatePolicy
from loki_twisted.web.interior import Interior
from loki_twisted.web.leases import Leases
from loki_twisted.web.limits import Limits
from loki_twisted.web.long_answers import LongAnswers
from loki_twisted.web.neighbours import Neighbours
from loki_twisted.web.routes_output import MOST_OUTPUTS, OUTPUTS
from loki_twisted.web.site import Site
from loki_twisted.web.tickets import Tickets
from loki_twisted.web.vitals import IVitals
from loki_twisted.web.witness import Witness
from tests.fakes_log import FakeLog
from tests.fakes_output import FakeOutput
from tests.plain_ledger import plain_ledger

TOKEN = "a-right-token"
WITH_TOKEN = GatePolicy(
    keyring=Keyring([plain_token("of-tests", TOKEN)]), local_without_token=False
)

LOOPBACK = IPv4Address("TCP", "127.0.0.1", 57374)
NEIGHBOUR = IPv4Address("TCP", "127.0.0.1", 40000)
LOOPBACK_6 = IPv6Address("TCP", "::1", 57374)
NEIGHBOUR_6 = IPv6Address("TCP", "::1", 40000)
PUBLIC = IPv4Address("TCP", "192.0.2.1", 57374)
STRANGER = IPv4Address("TCP", "198.51.100.7", 40000)
SOCKET_FILE = UNIXAddress("/run/loki.sock")

AT_MS = 1_700_000_000_000


def session(session_id: str = "session_1_aaaaaaaa", **changes: Any) -> Session:
    """Make a session that runs."""
    fields: dict[str, Any] = {
        "id": session_id,
        "status": SessionStatus.RUNNING,
        "provider": "claude",
        "project_dir": "/projects/one",
        "started_at": iso_from_ms(AT_MS),
        "updated_at": iso_from_ms(AT_MS),
        "agents": AgentCounts(active=1, spawned=3, completed=2),
    }
    return Session(**{**fields, **changes})


def task(task_id: str, session_id: str = "session_1_aaaaaaaa", **changes: Any) -> Task:
    """Make a task that waits."""
    fields: dict[str, Any] = {
        "id": task_id,
        "session_id": session_id,
        "title": f"Task {task_id}",
        "status": TaskStatus.PENDING,
        "created_at": iso_from_ms(AT_MS),
    }
    return Task(**{**fields, **changes})


@implementer(ISessions)
class FakeSessions:
    """
    Sessions in a dict.

    :ivar orders: What was ordered, in order.
    :ivar failure: What every order fails with, if it is set.
    :ivar waiting: What every order waits for, if it is set.
    """

    def __init__(self, sessions: Iterable[Session] = (), tasks: Iterable[Task] = ()) -> None:
        self.records = {each.id: each for each in sessions}
        self.all_tasks = list(tasks)
        self.orders: list[tuple[object, ...]] = []
        self.queries: list[object] = []
        self.spent: list[LedgerEntry] = []
        self.all_inputs: dict[tuple[str, str], Input] = {}
        self.all_messages: list[Message] = []
        self.done: dict[str, CompletedRequest] = {}
        self.failure: Exception | None = None
        self.waiting: Deferred[None] | None = None
        self.outputs: dict[tuple[str, OutputStream], FakeOutput] = {}
        self.senders: list[str] = []

    def _order(self, *order: object, then: Callable[[], Session]) -> Deferred[Session]:
        if self.failure is not None:
            return fail(self.failure)

        def carry_out(_: object) -> Session:
            self.orders.append(order)
            return then()

        return (self.waiting or succeed(None)).addCallback(carry_out)

    def start(self, wanted: StartSession, once: IdempotencyKey | None = None) -> Deferred[Session]:
        """Start the session that is always started."""
        self._note(once, "session_2_bbbbbbbb", "session_2_bbbbbbbb")
        status = SessionStatus.QUEUED if wanted.queue else SessionStatus.STARTING
        made = session("session_2_bbbbbbbb", status=status)
        return self._order("start", wanted, then=lambda: self.records.setdefault(made.id, made))

    def _steer(self, session_id: str, word: str, status: SessionStatus) -> Deferred[Session]:
        try:
            if self.get(session_id).status in FINAL:
                raise Conflict("The session has ended.", {"status": "stopped"})
        except (SessionNotFound, Conflict) as error:
            return fail(error)
        return self._order(word, session_id, then=lambda: session(session_id, status=status))

    def stop(self, session_id: str) -> Deferred[Session]:
        """Stop it."""
        return self._steer(session_id, "stop", SessionStatus.STOPPING)

    def pause(self, session_id: str) -> Deferred[Session]:
        """Halt it."""
        return self._steer(session_id, "pause", SessionStatus.PAUSED)

    def resume(self, session_id: str) -> Deferred[Session]:
        """Let it go on."""
        return self._steer(session_id, "resume", SessionStatus.RUNNING)

    def give_input(
        self,
        session_id: str,
        text: str,
        context: str | None,
        *,
        delivery: Delivery = Delivery.NEXT,
        by: str = "local",
        once: IdempotencyKey | None = None,
    ) -> Deferred[GivenInput]:
        """Note what was said, and by whom."""
        self.senders.append(by)
        try:
            found = self.get(session_id)
        except SessionNotFound as error:
            return fail(error)
        message = Message(
            id="message_1_aaaaaaaa",
            session_id=session_id,
            text=text,
            created_at=iso_from_ms(AT_MS),
            delivery=delivery,
            status=MessageStatus.DELIVERED,
        )
        self._note(once, session_id, message.id)
        said = self._order("input", session_id, text, context, then=lambda: found)
        return said.addCallback(lambda _: GivenInput(found, message=message))

    def answer(
        self,
        session_id: str,
        input_id: str,
        answer: Answer,
        by: str,
        once: IdempotencyKey | None = None,
    ) -> Deferred[Input]:
        """Answer one that is open."""
        asked = self.all_inputs.get((session_id, input_id))
        if asked is None:
            return fail(NotFound(f"There is no input {input_id!r}."))
        if asked.answer not in (None, answer):
            return fail(Conflict("It was answered otherwise."))
        self._note(once, session_id, input_id)
        settled = msgspec.structs.replace(
            asked, status=InputStatus.ANSWERED, answer=answer, answered_by=by
        )
        self.all_inputs[session_id, input_id] = settled
        done = self._order("answer", input_id, answer, then=lambda: self.get(session_id))
        return done.addCallback(lambda _: settled)

    def interrupt(self, session_id: str) -> Deferred[Session]:
        """Let it leave off."""
        return self._steer(session_id, "interrupt", SessionStatus.RUNNING)

    def continue_session(
        self, session_id: str, wanted: StartSession, once: IdempotencyKey | None = None
    ) -> Deferred[Session]:
        """Start the session that is always started, if the other has ended."""
        try:
            if self.get(session_id).status not in FINAL:
                raise Conflict("The session runs.")
        except (SessionNotFound, Conflict) as error:
            return fail(error)
        return self.start(wanted, once)

    def open_inputs(self) -> Sequence[Input]:
        """Those that are open."""
        return [each for each in self.all_inputs.values() if each.status is InputStatus.OPEN]

    def inputs(self, session_id: str, limit: int, offset: int) -> Deferred[InputPage]:
        """Those of a session."""
        if session_id not in self.records:
            return fail(SessionNotFound.of(session_id))
        found = [each for each in self.all_inputs.values() if each.session_id == session_id]
        return succeed(InputPage(tuple(found[offset : offset + limit]), len(found)))

    def input(self, session_id: str, input_id: str) -> Deferred[Input]:
        """One of them."""
        found = self.all_inputs.get((session_id, input_id))
        return fail(NotFound("There is none.")) if found is None else succeed(found)

    def messages(self, session_id: str, limit: int, offset: int) -> Deferred[MessagePage]:
        """None but in the list."""
        if session_id not in self.records:
            return fail(SessionNotFound.of(session_id))
        return succeed(MessagePage(tuple(self.all_messages[offset : offset + limit]), 1))

    def done_once(self, key: str) -> Deferred[CompletedRequest | None]:
        """What was done under a key."""
        return succeed(self.done.get(key))

    def _note(self, once: IdempotencyKey | None, session_id: str, target: str) -> None:
        if once is not None:
            self.done[once.key] = once.done(session_id, target, AT_MS)

    def delete(self, session_id: str) -> Deferred[None]:
        """Forget it, if it has ended."""
        try:
            if self.get(session_id).status not in FINAL:
                raise Conflict("The session runs.")
        except (SessionNotFound, Conflict) as error:
            return fail(error)
        gone = self._order("delete", session_id, then=lambda: self.records.pop(session_id))
        return gone.addCallback(lambda _: None)

    def get(self, session_id: str) -> Session:
        """One of them."""
        if session_id not in self.records:
            raise SessionNotFound.of(session_id)
        return self.records[session_id]

    def output(self, session_id: str, stream: OutputStream) -> IOutput:
        """What it prints."""
        self.get(session_id)
        if (session_id, stream) not in self.outputs:
            raise NotFound("It was not started here.")
        return self.outputs[session_id, stream]

    def list(self, query: SessionQuery) -> SessionPage:
        """Some of them."""
        self.queries.append(query)
        found = [
            each
            for each in self.records.values()
            if (query.statuses is None or each.status in query.statuses)
            and query.provider in {None, each.provider}
        ]
        end = None if query.limit is None else query.offset + query.limit
        running = sum(each.status not in FINAL for each in self.records.values())
        return SessionPage(found[query.offset : end], len(found), running)

    def counts(self) -> dict[SessionStatus, int]:
        """How many stand where."""
        counted: dict[SessionStatus, int] = {}
        for each in self.records.values():
            counted[each.status] = counted.get(each.status, 0) + 1
        return counted

    def active_session(self) -> str | None:
        """The last that runs."""
        running = [each.id for each in self.records.values() if each.status not in FINAL]
        return running[-1] if running else None

    def tasks(self, query: TaskQuery) -> Deferred[TaskPage]:
        """Some tasks."""
        self.queries.append(query)
        if query.session_id is not None and query.session_id not in self.records:
            return fail(SessionNotFound.of(query.session_id))
        found = [
            each
            for each in self.all_tasks
            if query.session_id in {None, each.session_id}
            and (query.statuses is None or each.status in query.statuses)
        ]
        behind = [
            each
            for each in found
            if query.after is None or self.all_tasks.index(each) >= query.after.number
        ]
        end = len(behind) if query.limit is None else query.offset + query.limit
        page = tuple(behind[query.offset : end])
        if end >= len(behind):
            return succeed(TaskPage(page, len(found)))
        place = TaskPlace(page[-1].created_at or "", 1 + self.all_tasks.index(page[-1]))
        return succeed(TaskPage(page, len(found), place))

    def open_tasks(self, wanted: OpenTasks, limit: int | None) -> EncodedTasks:
        """Those that are wanted."""
        self.queries.append((wanted, limit))
        found = [each for each in self.all_tasks if each.status in wanted.value]
        encoded = [msgspec.Raw(msgspec.json.encode(each)) for each in found[:limit]]
        return EncodedTasks(encoded, len(found))

    def task(self, session_id: str, task_id: str) -> Deferred[Task]:
        """One task."""
        if session_id not in self.records:
            return fail(SessionNotFound.of(session_id))
        for each in self.all_tasks:
            if (each.session_id, each.id) == (session_id, task_id):
                return succeed(each)
        return fail(NotFound(f"There is no task {task_id!r}."))

    def task_counts(self, session_id: str) -> Deferred[TaskCounts]:
        """How many tasks stand where."""
        if session_id not in self.records:
            return fail(SessionNotFound.of(session_id))
        statuses = [each.status for each in self.all_tasks if each.session_id == session_id]
        return succeed(
            TaskCounts(
                total=len(statuses),
                pending=sum(s in {TaskStatus.PENDING, TaskStatus.QUEUED} for s in statuses),
                running=statuses.count(TaskStatus.RUNNING),
                completed=statuses.count(TaskStatus.COMPLETED),
                failed=statuses.count(TaskStatus.FAILED),
            )
        )

    def usage(self, query: LedgerQuery) -> Deferred[LedgerPage]:
        """What was spent."""
        self.queries.append(query)
        return succeed(plain_ledger(self.spent, query))


@implementer(IVitals)
@attrs.define
class FakeVitals:
    """A server that is well, unless it is told otherwise."""

    version = "1.2.3"
    up_ms: int = 93_784_000
    found: Mapping[str, bool] = attrs.field(factory=lambda: {"claude": True, "demo": True})
    troubles: list[str] = attrs.field(factory=list)
    unready: str | None = None
    closed: str | None = None

    def uptime_ms(self) -> int:
        """Since when."""
        return self.up_ms

    def providers(self) -> Mapping[str, bool]:
        """Who is installed."""
        return self.found

    def provider_details(self) -> Sequence[ProviderDetail]:
        """Who is installed, and asks."""
        abilities = ProviderAbilities(
            asks=True, messaging="next", continues=False, cost=CostOrigin.REPORTED
        )
        return [
            ProviderDetail(name=name, available=found, abilities=abilities)
            for name, found in self.found.items()
        ]

    def problems(self) -> Sequence[str]:
        """What is wrong."""
        return self.troubles

    def not_serving(self) -> str | None:
        """Why not at all."""
        return self.closed

    def not_ready(self) -> str | None:
        """Why not."""
        return self.unready

    def metrics(self) -> bytes:
        """One figure."""
        return b"loki_ready 1.0\n"

    def system(self) -> System:
        """A small machine."""
        return System(
            platform="linux",
            arch="x86_64",
            python_version="3.11.0",
            twisted_version="26.10.0",
            sqlite_version="3.54.0",
            cpus=2,
            memory_used=50_000_000,
            load_average=0.5,
        )


@implementer(IAudit)
class FakeAudit:
    """
    An audit log in a list.

    :ivar entries: Without what is None.
    """

    def __init__(self) -> None:
        self.entries: list[dict[str, Any]] = []

    def record(self, entry: Entry) -> None:
        """Keep it."""
        self.entries.append({name: value for name, value in entry.items() if value is not None})

    def problem(self) -> str | None:
        """None."""
        return None


# Raw connections


@attrs.frozen
class Response:
    """What came back. Names of headers are in lower case."""

    status: int
    headers: dict[str, list[str]]
    body: bytes

    def header(self, name: str) -> str | None:
        """The one value of a header, or None."""
        values = self.headers.get(name.lower(), [])
        assert len(values) < 2, values
        return values[0] if values else None

    @property
    def json(self) -> Any:
        """The body."""
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The code of a problem, after a look at its shape."""
        assert self.header("content-type") == "application/json"
        assert set(self.json) <= {"error", "code", "details"}
        assert self.json["error"]
        return str(self.json["code"])


def read_responses(data: bytes) -> list[Response]:
    """Take apart what a connection was sent; interim responses are passed over."""
    responses = []
    while data:
        head, _, data = data.partition(b"\r\n\r\n")
        status_line, *lines = head.decode("latin-1").split("\r\n")
        status = int(status_line.split(" ")[1])
        headers: dict[str, list[str]] = {}
        for line in lines:
            name, _, value = line.partition(": ")
            headers.setdefault(name.lower(), []).append(value)
        if status == 100:
            continue
        length = int(headers.get("content-length", ["0"])[0])
        if "transfer-encoding" in headers:
            length = len(data)
        responses.append(Response(status, headers, data[:length]))
        data = data[length:]
    return responses


class Connection:
    """A connection to a site: bytes in, responses out."""

    def __init__(self, site: Any, here: Any, peer: Any) -> None:
        self.transport = StringTransportWithDisconnection(hostAddress=here, peerAddress=peer)
        self.protocol = site.buildProtocol(peer)
        self.transport.protocol = self.protocol
        self.protocol.makeConnection(self.transport)

    def send(self, data: bytes) -> None:
        """Send bytes, all at once."""
        self.protocol.dataReceived(data)

    @property
    def is_closed(self) -> bool:
        """Whether the server has closed it."""
        return not self.transport.connected

    def close(self) -> None:
        """Leave."""
        self.transport.loseConnection()

    def responses(self) -> list[Response]:
        """What has come back so far."""
        return read_responses(self.transport.value())

    def response(self) -> Response:
        """The only thing that has come back."""
        (only,) = self.responses()
        return only


def entrance_of(inner: IResource, policy: GatePolicy, clock: Clock) -> Entrance:
    """Put a gate before a resource. Everybody on this machine is our user."""
    interior = Interior(
        Gate(policy, FailedAttempts(clock), Tickets(clock, policy.keyring)),
        inner,
        Neighbours(lambda _here, _peer: True),
        Leases(policy.keyring),
        Witness(FakeAudit(), (), clock),
    )
    return Entrance(interior, clock)


class Server:
    """A site with the API over fake rooms, on a clock that stands still."""

    def __init__(
        self,
        policy: GatePolicy | None = None,
        *,
        our_user: bool = True,
        limits: Limits | None = None,
        sessions: FakeSessions | None = None,
    ) -> None:
        self.clock = Clock()
        self.sessions = FakeSessions() if sessions is None else sessions
        self.log = FakeLog(page_blocks=1)
        self.vitals = FakeVitals()
        self.hub = Hub(self.clock, self.log)
        self.lists = EventLists(self.clock)
        self.outputs = LongAnswers(self.clock, MOST_OUTPUTS, OUTPUTS)
        self.asked: list[object] = []
        self.our_user = our_user
        self.audit = FakeAudit()
        policy = GatePolicy() if policy is None else policy
        self.leases = Leases(policy.keyring)
        interior = make_interior(
            sessions=self.sessions,
            log=self.log,
            hub=self.hub,
            lists=self.lists,
            outputs=self.outputs,
            vitals=self.vitals,
            policy=policy,
            leases=self.leases,
            audit=self.audit,
            reactor=self.clock,
            peer_check=self._check_peer,
        )
        self.api = Entrance(interior, self.clock)
        self.site = Site(self.api, reactor=self.clock, limits=limits or Limits())

    def _check_peer(self, here: tuple[str, int], peer: tuple[str, int]) -> bool:
        self.asked.append((here, peer))
        return self.our_user

    def connect(self, here: Any = LOOPBACK, peer: Any = NEIGHBOUR) -> Connection:
        """Open a connection."""
        return Connection(self.site, here, peer)

    def ask(
        self,
        method: str,
        target: str,
        *,
        body: object = None,
        headers: Mapping[str, str] | None = None,
        here: Any = LOOPBACK,
        peer: Any = NEIGHBOUR,
    ) -> Response:
        """Ask one thing over a new connection. A body that is no bytes is sent as JSON."""
        connection = self.connect(here, peer)
        connection.send(request_bytes(method, target, body=body, headers=headers))
        response = connection.response()
        connection.close()
        return response


def request_bytes(
    method: str,
    target: str,
    *,
    body: object = None,
    headers: Mapping[str, str] | None = None,
) -> bytes:
    """Write a request. A header whose value is None is left out."""
    content = b""
    fields: dict[str, Any] = {"Host": "localhost:57374"}
    if body is not None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        fields["Content-Type"] = "application/json"
        fields["Content-Length"] = str(len(content))
    fields.update(headers or {})
    lines = [f"{method} {target} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in fields.items() if value is not None]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + content
