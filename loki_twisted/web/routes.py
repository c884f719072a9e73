"""All routes there are."""

from __future__ import annotations

from typing import Final

from loki_twisted.web.operations import Operation, declarations_of
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

ROUTES: Final = (
    HealthRoutes,
    MetricsRoutes,
    StartRoutes,
    SessionRoutes,
    InputRoutes,
    MessageRoutes,
    OutputRoutes,
    TaskRoutes,
    UsageRoutes,
    EventRoutes,
    TicketRoutes,
    DocumentRoutes,
)


def every_operation() -> list[Operation]:
    """Everything that the API can be asked for, in the order of its document."""
    return [each for routes in ROUTES for each in declarations_of(routes).values()]
