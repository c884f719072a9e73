"""Routes of what agents ask: the inbox, and answers."""

from __future__ import annotations

from typing import Final

from loki_twisted.model.errors import (
    Conflict,
    NotFound,
    SessionNotFound,
    StorageFailed,
    StorageFull,
    Unavailable,
)
from loki_twisted.model.idempotency import CompletedRequest, IdempotencyKey
from loki_twisted.model.inputs import Answer
from loki_twisted.model.wire import (
    AnswerInput,
    InputDetail,
    InputList,
    OpenInputs,
)
from loki_twisted.sessions.interface import ISessions
from loki_twisted.web.operations import operation
from loki_twisted.web.pages import OFFSET_PAGE, pagination_of
from loki_twisted.web.repetitions import IDEMPOTENCY_KEY, Repetitions
from loki_twisted.web.session_orders import known
from loki_twisted.web.visits import Visit

_TAG: Final = "inputs"
_FIRST: Final = {"sessionId": "inputs/0/sessionId", "inputId": "inputs/0/id"}


class InputRoutes:
    """
    The routes of inputs.

    :param sessions: Does what is asked for.
    :param repetitions: Sees to it that what has a key is done once.
    """

    def __init__(self, sessions: ISessions, repetitions: Repetitions) -> None:
        self._sessions = sessions
        self._repetitions = repetitions

    @operation(
        "GET",
        "/api/inputs",
        tag=_TAG,
        answer=OpenInputs,
        links={"answerInput": _FIRST, "getInput": _FIRST},
    )
    def list_open_inputs(self) -> OpenInputs:
        """List what the agents of all sessions ask and nobody has answered, oldest first."""
        found = list(self._sessions.open_inputs())
        return OpenInputs(inputs=found, count=len(found))

    @operation(
        "GET",
        "/api/sessions/{sessionId}/inputs",
        tag=_TAG,
        answer=InputList,
        parameters=OFFSET_PAGE,
        errors=(SessionNotFound,),
    )
    async def list_inputs(self, session_id: str, limit: int, offset: int) -> InputList:
        """List what the agent of a session has asked, answered or not, newest first."""
        page = await self._sessions.inputs(known(session_id), limit, offset)
        pagination = pagination_of(page.total, limit, offset)
        return InputList(inputs=list(page.inputs), pagination=pagination)

    @operation(
        "GET",
        "/api/sessions/{sessionId}/inputs/{inputId}",
        tag=_TAG,
        answer=InputDetail,
        errors=(SessionNotFound, NotFound),
    )
    async def get_input(self, session_id: str, input_id: str) -> InputDetail:
        """Read one input."""
        return InputDetail(input=await self._sessions.input(known(session_id), input_id))

    @operation(
        "POST",
        "/api/sessions/{sessionId}/inputs/{inputId}",
        tag=_TAG,
        body=AnswerInput,
        examples={
            "an option": {"answer": "deny", "message": "Not outside of the project."},
            "several": {"answer": ["dawn", "paper"]},
        },
        answer=InputDetail,
        parameters=(IDEMPOTENCY_KEY,),
        asks_who=True,
        errors=(SessionNotFound, NotFound, Conflict, Unavailable, StorageFailed, StorageFull),
    )
    async def answer_input(
        self, session_id: str, input_id: str, body: AnswerInput, key: str | None, visit: Visit
    ) -> InputDetail:
        """
        Answer what an agent asks.

        The first answer counts. The same one again is fine, another one is a conflict.
        """
        values = (body.answer,) if isinstance(body.answer, str) else tuple(body.answer)
        answer = Answer(values=values, message=body.message)

        async def act(once: IdempotencyKey | None) -> InputDetail:
            settled = self._sessions.answer(
                known(session_id), input_id, answer, visit.caller.name, once
            )
            return InputDetail(input=await settled)

        async def again(done: CompletedRequest) -> InputDetail:
            return InputDetail(input=await self._sessions.input(done.session_id, done.target))

        about = f"{session_id}/{input_id}"
        return await self._repetitions.once(key, "answerInput", (about, body), act, again)
