"""
What clients send and what they are answered, as declared types.

The same declarations validate requests, make the OpenAPI document, encode the
answers and decode them again in the client. Field names are snake_case here
and camelCase on the wire. Events, sessions and tasks are on the wire as
``model/events.py``, ``model/sessions.py`` and ``model/tasks.py`` declare them.
"""

from __future__ import annotations

from loki_twisted.model.wire.history import EventHistory, EventStats, UsageReport
from loki_twisted.model.wire.inputs import (
    InputDetail,
    InputGiven,
    InputList,
    MessageList,
    OpenInputs,
)
from loki_twisted.model.wire.requests import (
    AnswerInput,
    ContinueSession,
    GiveInput,
    StartOptions,
    StartSession,
)
from loki_twisted.model.wire.server import (
    CallerDetail,
    Health,
    Liveness,
    ProviderAbilities,
    ProviderDetail,
    ProviderList,
    Readiness,
    SessionCounts,
    Status,
    StreamCounts,
    System,
)
from loki_twisted.model.wire.sessions import (
    SessionDetail,
    SessionList,
    SessionMessage,
    SessionOrder,
    SessionSummary,
)
from loki_twisted.model.wire.shapes import Pagination, Problem, Request, Shape
from loki_twisted.model.wire.tasks import (
    SessionTasks,
    TaskDetail,
    TaskList,
    TaskSelection,
    TaskSummary,
)
from loki_twisted.model.wire.tickets import CreateTicket, Ticket

__all__ = [
    "AnswerInput",
    "CallerDetail",
    "ContinueSession",
    "CreateTicket",
    "EventHistory",
    "EventStats",
    "GiveInput",
    "Health",
    "InputDetail",
    "InputGiven",
    "InputList",
    "Liveness",
    "MessageList",
    "OpenInputs",
    "Pagination",
    "Problem",
    "ProviderAbilities",
    "ProviderDetail",
    "ProviderList",
    "Readiness",
    "Request",
    "SessionCounts",
    "SessionDetail",
    "SessionList",
    "SessionMessage",
    "SessionOrder",
    "SessionSummary",
    "SessionTasks",
    "Shape",
    "StartOptions",
    "StartSession",
    "Status",
    "StreamCounts",
    "System",
    "TaskDetail",
    "TaskList",
    "TaskSelection",
    "TaskSummary",
    "Ticket",
    "UsageReport",
]
