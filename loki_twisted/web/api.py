"""The API, of the rooms that do what is asked for: what stands behind its entrance."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from twisted.internet.interfaces import IReactorTime

from loki_twisted.access.interface import IAudit
from loki_twisted.kernel.peer import is_our_user
from loki_twisted.log.interface import IEventLog
from loki_twisted.sessions.interface import ISessions
from loki_twisted.stream.hub import Hub
from loki_twisted.web.attempts import FailedAttempts
from loki_twisted.web.event_lists import EventLists
from loki_twisted.web.execution import Execution
from loki_twisted.web.gate import Gate, GatePolicy
from loki_twisted.web.interior import Interior
from loki_twisted.web.leases import Leases
from loki_twisted.web.long_answers import LongAnswers
from loki_twisted.web.neighbours import Neighbours, PeerCheck
from loki_twisted.web.operations import operations_of
from loki_twisted.web.page import Page
from loki_twisted.web.repetitions import Repetitions
from loki_twisted.web.routes import every_operation
from loki_twisted.web.routes_document import DocumentRoutes
from loki_twisted.web.routes_events import EventRoutes
from loki_twisted.web.routes_health import HealthRoutes
from loki_twisted.web.routes_inputs import InputRoutes
from loki_twisted.web.routes_messages import MessageRoutes
from loki_twisted.web.routes_metrics import MetricsRoutes
from loki_twisted.web.routes_output import OutputRoutes
from loki_twisted.web.routes_sessions import SessionRoutes
from loki_twisted.web.routes_starting import StartRoutes
from loki_twisted.web.routes_tasks import TaskRoutes
from loki_twisted.web.routes_tickets import TicketRoutes
from loki_twisted.web.routes_usage import UsageRoutes
from loki_twisted.web.routing import Router, klein_app
from loki_twisted.web.tickets import Tickets
from loki_twisted.web.vitals import IVitals
from loki_twisted.web.witness import Witness


def make_interior(
    *,
    sessions: ISessions,
    log: IEventLog,
    hub: Hub,
    lists: EventLists,
    outputs: LongAnswers,
    vitals: IVitals,
    policy: GatePolicy,
    leases: Leases,
    audit: IAudit,
    reactor: IReactorTime,
    peer_check: PeerCheck = is_our_user,
) -> Interior:
    """
    Make the API, for an :class:`~loki_twisted.web.entrance.Entrance`.

    :param sessions: Does what is asked for.
    :param log: What happened.
    :param hub: Serves the streams.
    :param lists: The long lists of events; whoever made it closes it in the end, and so `outputs`,
        what agents print on its way to clients.
    :param vitals: How the server is.
    :param policy: Who may come in.
    :param leases: Are given the answers that go on; whoever made them settles them now and again.
    :param audit: The record of who did what.
    :param reactor: Measures time.
    :param peer_check: Tells of a connection within this machine whether our user is its peer.
    """
    tickets = Tickets(reactor, policy.keyring)
    gate = Gate(policy, FailedAttempts(reactor), tickets)
    routes = _routes(sessions, log, hub, lists, outputs, vitals, tickets)
    witness = Witness(audit, every_operation(), reactor)
    inner = Page(_router(routes, reactor, debug=policy.debug))
    neighbours = Neighbours(peer_check)
    return Interior(gate, inner, neighbours, leases, witness, vitals.not_serving)


def _router(routes: Iterable[object], reactor: IReactorTime, *, debug: bool) -> Router:
    executions = [
        Execution(bound, reactor, debug=debug) for each in routes for bound in operations_of(each)
    ]
    return Router(executions, klein_app(executions, debug=debug))


def _routes(
    sessions: ISessions,
    log: IEventLog,
    hub: Hub,
    lists: EventLists,
    outputs: LongAnswers,
    vitals: IVitals,
    tickets: Tickets,
) -> Sequence[object]:
    """All classes of routes, as they answer here."""
    repetitions = Repetitions(sessions)
    return (
        HealthRoutes(vitals, sessions, log, hub),
        MetricsRoutes(vitals),
        StartRoutes(sessions, repetitions),
        SessionRoutes(sessions),
        InputRoutes(sessions, repetitions),
        MessageRoutes(sessions, repetitions),
        OutputRoutes(sessions, outputs),
        TaskRoutes(sessions),
        UsageRoutes(sessions),
        EventRoutes(log, hub, lists, tickets),
        TicketRoutes(tickets),
        DocumentRoutes(),
    )
