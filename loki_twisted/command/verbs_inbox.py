"""The verbs of ``lokictl`` that answer agents and talk to them."""

from __future__ import annotations

import argparse
import time

from loki_twisted.client import LokiClient
from loki_twisted.command.calling import call, palette, show
from loki_twisted.command.exits import Exit
from loki_twisted.command.formatting import plain
from loki_twisted.command.names import LATEST, find_session
from loki_twisted.command.progress import ASKING, progress
from loki_twisted.command.questions import choose_question, question_lines, read_answer
from loki_twisted.model.inputs import Input
from loki_twisted.model.messages import Delivery
from loki_twisted.model.wire import OpenInputs


def inbox(given: argparse.Namespace) -> int:
    """List what agents ask and nobody has answered."""

    async def talk(client: LokiClient) -> int:
        found = await progress(ASKING, client.open_inputs())
        if given.session is not None:
            session_id = await find_session(client, given.session)
            here = [each for each in found.inputs if each.session_id == session_id]
            found = OpenInputs(inputs=here, count=len(here))
        if given.quiet and not given.json:
            for each in found.inputs:
                print(plain(each.id), flush=True)
            return Exit.DONE
        return show(given, found, _inbox_text(found))

    return call(given, talk)


def _inbox_text(found: OpenInputs) -> str:
    now_ms = time.time_ns() // 1_000_000
    if not found.inputs:
        return "No agent asks anything."
    blocks = ["\n".join(question_lines(each, now_ms, palette())) for each in found.inputs]
    return "\n\n".join([*blocks, "Answer one with: lokictl answer QUESTION ANSWER"])


def answer(given: argparse.Namespace) -> int:
    """Answer an open question."""

    async def talk(client: LokiClient) -> int:
        asked = await _find_question(client, given.question)
        values = read_answer(asked, given.text)
        done = await client.answer_input(asked.session_id, asked.id, values, given.message)
        return show(given, done, _answer_line(done.input))

    return call(given, talk)


async def _find_question(client: LokiClient, name: str) -> Input:
    meant = await find_session(client, name) if name == LATEST else name
    return choose_question(meant, (await client.open_inputs()).inputs)


def _answer_line(settled: Input) -> str:
    said = ", ".join(settled.answer.values) if settled.answer is not None else "nothing"
    return plain(f"{settled.session_id}: {settled.prompt} - {said}")


def give_input(given: argparse.Namespace) -> int:
    """Say something to an agent."""

    async def talk(client: LokiClient) -> int:
        session_id = await find_session(client, given.session)
        delivery = Delivery.NOW if given.now else Delivery.NEXT
        done = await client.give_input(session_id, " ".join(given.text), delivery=delivery)
        return show(given, done, plain(f"{done.session_id}: {done.message}"))

    return call(given, talk)
