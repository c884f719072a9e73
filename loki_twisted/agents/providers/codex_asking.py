"""
What codex asks people for, and how it is answered.

Each of its requests is put as one question, or as several that are answered together. What is known
of it until then (:class:`Waiting`) is small: of what is chosen, the whole result of each choice as
JSON; of what is filled in, names and types.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from loki_twisted.agents.outputs import Asked
from loki_twisted.agents.providers import telling
from loki_twisted.agents.providers.cleaning import cut
from loki_twisted.agents.providers.codex_choices import (
    DECLINE,
    Choice,
    choices_of_command,
    choices_of_files,
    choices_of_permissions,
    choices_of_server,
)
from loki_twisted.agents.providers.codex_forms import (
    Field,
    asked_of_form,
    content_of,
    questions_of_schema,
)
from loki_twisted.agents.providers.jsonrpc import Request, RequestId, result_line
from loki_twisted.agents.providers.members import count_of, list_of, object_of, text_of
from loki_twisted.agents.providers.tidying import maybe_tidy
from loki_twisted.model.inputs import Answer, InputKind, Option

_MOST: Final = 20
"""Of questions in one request, and of options of one question."""

_MOST_PROMPT: Final = 4096
"""Bytes of a prompt."""

_MOST_DETAILS: Final = 32 * 1024
"""Bytes of JSON of the details."""

_TOLD: Final = ("command", "cwd", "reason", "paths", "permissions", "networkApprovalContext", "url")
"""What of a request is told beside the prompt."""


class Waiting(msgspec.Struct, frozen=True, omit_defaults=True):
    """
    A request of codex's that is not answered.

    :ivar thread: Whose it is.
    :ivar results: Of what can be chosen: the result as JSON, by the value of the option.
    :ivar fields: What is asked for, where several answers make the result.
    :ivar is_form: Whether they are those of a form.
    :ivar answers: Those that are there, by the number of the question.
    """

    request: RequestId
    thread: str
    results: Mapping[str, str] = {}
    fields: tuple[Field, ...] = ()
    is_form: bool = False
    answers: Mapping[int, tuple[str, ...]] = {}

    @property
    def name(self) -> str:
        """A text by which it is known; a number and a text never have the same."""
        return name_of(self.request)

    @property
    def open_keys(self) -> Sequence[str]:
        """The keys of its questions that are not answered."""
        if not self.fields:
            return [self.name]
        numbers = range(len(self.fields))
        return [f"{self.name}.{number}" for number in numbers if number not in self.answers]


Question = tuple[Waiting, Sequence[Asked]]
"""What is remembered of a request, and what people are asked."""


def name_of(request_id: Any) -> str:
    """The text by which a request of codex's is known."""
    return msgspec.json.encode(request_id).decode()


def asked_of_request(request: Request, agent_id: str | None, paths: str) -> Question | None:
    """
    Say what a request asks people for.

    :param agent_id: Of the sub-agent that asks; None for codex itself.
    :param paths: The files that it is about, where that was said before.
    :returns: None for a request that people cannot answer.
    """
    read = _READERS.get(request.method)
    if read is None:
        return None
    params = {**request.params, "paths": paths} if paths else request.params
    return read(Waiting(request.id, text_of(params, "threadId")), params, agent_id)


def answered(waiting: Waiting, key: str, answer: Answer) -> Waiting | str:
    """
    Take an answer.

    :param key: One of :attr:`Waiting.open_keys`.
    :returns: The line for codex, or what still waits for other answers.
    """
    if not waiting.fields:
        chosen = answer.values[0] if answer.values else DECLINE
        last = list(waiting.results.values())[-1]
        result = waiting.results.get(chosen) or waiting.results.get(DECLINE) or last
        return result_line(waiting.request, msgspec.Raw(result.encode()))
    number = int(key.rpartition(".")[2])
    words = () if answer.message is None or waiting.is_form else (answer.message,)
    answers = {**waiting.answers, number: (*answer.values, *words)}
    waiting = replace(waiting, answers=answers)
    return waiting if waiting.open_keys else _whole_line(waiting)


def _whole_line(waiting: Waiting) -> str:
    """The line for codex when all is answered."""
    given = [waiting.answers[number] for number in range(len(waiting.fields))]
    if waiting.is_form:
        content = content_of(waiting.fields, given)
        action = DECLINE if content is None else "accept"
        return result_line(waiting.request, {"action": action, "content": content})
    pairs = zip(waiting.fields, given, strict=True)
    told = {field.name: {"answers": values} for field, values in pairs}
    return result_line(waiting.request, {"answers": told})


# Readers: one for each request that people can answer.


def _command(waiting: Waiting, params: Mapping[str, Any], agent_id: str | None) -> Question:
    command = text_of(params, "command")
    place = object_of(params, "networkApprovalContext")
    prompt = f"Run a command: {command or 'it does not say which'}"
    if place and not command:
        prompt = f"Reach {text_of(place, 'host')} ({text_of(place, 'protocol')})"
    return _choose(waiting, prompt, "command", params, agent_id, choices_of_command(params))


def _files(waiting: Waiting, params: Mapping[str, Any], agent_id: str | None) -> Question:
    root, paths = text_of(params, "grantRoot"), text_of(params, "paths")
    prompt = f"Write below {root}" if root and not paths else f"Change files: {paths or 'unnamed'}"
    return _choose(waiting, prompt, "fileChange", params, agent_id, choices_of_files())


def _permissions(waiting: Waiting, params: Mapping[str, Any], agent_id: str | None) -> Question:
    prompt = f"Have more permissions: {text_of(params, 'reason') or 'it does not say why'}"
    choices = choices_of_permissions(object_of(params, "permissions"))
    return _choose(waiting, prompt, "permissions", params, agent_id, choices)


def _server(waiting: Waiting, params: Mapping[str, Any], agent_id: str | None) -> Question | None:
    mode, server = text_of(params, "mode"), text_of(params, "serverName") or "mcp"
    prompt = f"{server}: {text_of(params, 'message')}"
    questions = questions_of_schema(object_of(params, "requestedSchema"))
    if mode not in {"form", "url"} or questions is None:
        return None
    if not questions:
        kept = object_of(params, "_meta").get("persist")
        choices = list(choices_of_server(kept))
        return _choose(waiting, prompt, server, params, agent_id, choices)
    fields = tuple(each.field for each in questions)
    waiting = replace(waiting, fields=fields, is_form=True)
    details = {"tool": telling.name(server)}
    return waiting, asked_of_form(questions, waiting.open_keys, prompt, details, agent_id)


def _people(waiting: Waiting, params: Mapping[str, Any], agent_id: str | None) -> Question | None:
    found = [each for each in list_of(params, "questions") if text_of(each, "id")]
    if not found or len(found) > _MOST:
        return None
    waiting = replace(waiting, fields=tuple(Field(text_of(each, "id")) for each in found))
    timeout = count_of(params, "autoResolutionMs") or None
    keyed = zip(waiting.open_keys, found, strict=True)
    return waiting, [_question(key, each, timeout, agent_id) for key, each in keyed]


def _question(
    key: str, said: Mapping[str, Any], timeout_ms: int | None, agent_id: str | None
) -> Asked:
    options = [
        Option(
            value=telling.name(each["label"]),
            label=telling.name(each["label"]),
            description=cut(telling.text(text_of(each, "description")), 1024) or None,
        )
        for each in list_of(said, "options")[:_MOST]
        if text_of(each, "label")
    ]
    return Asked(
        key=key,
        kind=InputKind.QUESTION,
        prompt=_prompt(text_of(said, "question", "header", "id")),
        details=_details(said, ("header", "isSecret")),
        options=options,
        takes_text=said.get("isOther") is True or not options,
        timeout_ms=timeout_ms,
        agent_id=agent_id,
    )


_READERS: Final[
    Mapping[str, Callable[[Waiting, Mapping[str, Any], str | None], Question | None]]
] = {
    "item/commandExecution/requestApproval": _command,
    "item/fileChange/requestApproval": _files,
    "item/permissions/requestApproval": _permissions,
    "item/tool/requestUserInput": _people,
    "mcpServer/elicitation/request": _server,
}


def _choose(
    waiting: Waiting,
    prompt: str,
    tool: str,
    params: Mapping[str, Any],
    agent_id: str | None,
    choices: Sequence[Choice],
) -> Question:
    """Put one question."""
    results = {option.value: msgspec.json.encode(result).decode() for option, result in choices}
    asked = Asked(
        key=waiting.name,
        kind=InputKind.PERMISSION,
        prompt=_prompt(prompt),
        details={"tool": telling.name(tool), **_details(params, _TOLD)},
        options=[option for option, _ in choices],
        agent_id=agent_id,
    )
    return replace(waiting, results=results), [asked]


def _prompt(said: str) -> str:
    return cut(telling.text(said), _MOST_PROMPT)


def _details(params: Mapping[str, Any], names: Sequence[str]) -> Mapping[str, Any]:
    """Some members of a request, if they are not too much."""
    tidy = maybe_tidy({name: params[name] for name in names if params.get(name)})
    if tidy is None or len(msgspec.json.encode(tidy)) > _MOST_DETAILS:
        return {}
    return dict(tidy)
