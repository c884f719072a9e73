"""``lokictl attach``: a session as it goes on, and a line to talk with its agent."""

from __future__ import annotations

import argparse
import os
import sys
import time
from typing import Final

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import LoopingCall

from loki_twisted.client import LokiClient, StreamReset
from loki_twisted.command.calling import Talk, call, note, palette
from loki_twisted.command.colours import can_be_steered
from loki_twisted.command.complaints import complaint
from loki_twisted.command.conversation import spoken
from loki_twisted.command.exits import Exit
from loki_twisted.command.formatting import plain
from loki_twisted.command.names import find_session, short
from loki_twisted.command.questions import question_lines, read_answer
from loki_twisted.command.screens import Printed, Screen
from loki_twisted.command.terminal import terminal_kept
from loki_twisted.command.typed import HELP, ORDERS, Command, Words, read_line
from loki_twisted.command.verbs_watching import ENDS, exit_code_of, show_event
from loki_twisted.model.errors import LokiError
from loki_twisted.model.events import Event
from loki_twisted.model.filters import EventFilter
from loki_twisted.model.identifiers import EARLIEST
from loki_twisted.model.inputs import Input, InputStatus
from loki_twisted.model.messages import Delivery
from loki_twisted.model.sessions import Session, SessionStatus

LAST_EVENTS: Final = 50
"""With so many of what is past it begins."""

LOOK_SECONDS: Final = 2.0
"""How often it looks how the session stands, and whether the server is there."""

NO_PASTING: Final = "\x1b[?2004l"
"""Has a terminal no longer mark what is pasted."""

_PAGE: Final = 1000


def attach(given: argparse.Namespace) -> int:
    """Attach to a session."""
    is_terminal = sys.stdin.isatty() and can_be_steered(sys.stdout, os.environ)
    is_talk = is_terminal and not given.json
    if not is_talk:
        if sys.stdin.isatty() and sys.stdout.isatty() and not given.json:
            note("nothing can be typed in a dumb terminal; answer with: lokictl answer")
        return call(given, _watching(given))
    # Late, because they are for terminals alone, and want a reactor of their own.
    from loki_twisted.command.prompting import TypedLines, prepare

    prepare()

    async def talk(client: LokiClient) -> int:
        attached = await _attached(client, given)
        screen = attached.screen = TypedLines(attached.invitation, attached.footing)
        try:
            return await attached.run()
        finally:
            await screen.end()

    with terminal_kept(sys.stdin.fileno(), leaving=NO_PASTING) as terminal:
        return call(given, talk, terminal)


def _watching(given: argparse.Namespace) -> Talk:
    async def talk(client: LokiClient) -> int:
        return await (await _attached(client, given)).watch()

    return talk


async def _attached(client: LokiClient, given: argparse.Namespace) -> Attached:
    session_id = await find_session(client, given.session)
    return Attached(client, given, (await client.get_session(session_id)).session)


class Attached:
    """
    One session that is watched and talked with.

    :ivar questions: What its agent asks and nobody has answered, by their ids, oldest first.
    """

    def __init__(self, client: LokiClient, given: argparse.Namespace, session: Session) -> None:
        self.screen: Screen = Printed()
        self.questions: dict[str, Input] = {}
        self._client = client
        self._given = given
        self._session = session
        self._is_cut_off = False

    # Around the line

    def invitation(self) -> str:
        """What stands before the cursor."""
        return "answer> " if self.questions else "> "

    def footing(self) -> str:
        """What stands below the line: how the session stands."""
        session = self._session
        asks = f"asks {len(self.questions)}" if self.questions else ""
        told = [
            f"{short(session.id)} {session.status.value}",
            "CUT OFF, trying again" if self._is_cut_off else asks,
            session.current_phase or "",
            f"{session.completed_tasks}/{session.task_count}",
            "/help",
        ]
        return plain("  ".join(part for part in told if part))

    # All of it

    async def run(self) -> int:
        """Watch and talk, to the end of the session or until it is left; gives the exit code."""
        over: Deferred[int] = Deferred()
        looking = LoopingCall(lambda: Deferred.fromCoroutine(self._look()))
        looking.start(LOOK_SECONDS, now=False)
        both = [Deferred.fromCoroutine(each) for each in (self.watch(), self._talk())]
        for each in both:
            each.addBoth(lambda result: None if over.called else over.callback(result))
        try:
            return await over
        finally:
            looking.stop()
            for each in both:
                each.cancel()
            await gatherResults(both)

    async def watch(self) -> int:
        """Show the session to its end; gives the exit code that fits it."""
        after = await self._show_the_past()
        self._session = (await self._client.get_session(self._session.id)).session
        if self._session.status.is_final:
            await self._show_all(after)
            return _exit_code_of_status(self._session.status)
        await self._show_questions()
        wanted = EventFilter(self._session.id)
        async with self._client.events(wanted, after, on_reset=self._show_reset) as stream:
            async for event in stream:
                await self._show(event)
                if event.type in ENDS:
                    return exit_code_of(event)
        return Exit.DONE

    async def _show_the_past(self) -> str:
        """Show what has happened, or the last of it; gives the id of its last event."""
        if self._given.from_start:
            return await self._show_all(EARLIEST)
        page = await self._client.history(EventFilter(self._session.id), limit=LAST_EVENTS)
        for event in page.events:
            self._say(event)
        return page.events[-1].id if page.events else EARLIEST

    async def _show_all(self, after: str) -> str:
        """Show all that has happened after an event; gives the id of the last one."""
        wanted = EventFilter(self._session.id)
        while True:
            page = await self._client.history(wanted, limit=_PAGE, after=after)
            for event in page.events:
                self._say(event)
            after = page.events[-1].id if page.events else after
            if len(page.events) < _PAGE:
                return after

    async def _show_questions(self) -> None:
        """Show what is asked and was not shown yet; forget what is asked no longer."""
        found = await self._client.list_inputs(self._session.id)
        still = {each.id: each for each in found.inputs if each.status is InputStatus.OPEN}
        for gone in self.questions.keys() - still.keys():
            del self.questions[gone]
        for asked in reversed(still.values()):
            self._ask(asked)

    # Events

    async def _show(self, event: Event) -> None:
        if event.type == "input:requested" and not self._given.json:
            try:
                await self._show_questions()
            except LokiError:
                pass  # the server is away again; it is looked for what is asked when it is back
            else:
                return
        elif event.type in {"input:answered", "input:withdrawn"}:
            self.questions.pop(str(event.data.get("inputId")), None)
        self._say(event)
        self.screen.refresh()

    def _show_reset(self, reset: StreamReset) -> None:
        """Say that events are missing."""
        self.screen.show(
            palette().paint("yellow", f"-- events are missing: {plain(reset.reason)} --")
        )

    def _say(self, event: Event) -> None:
        if self._given.json:
            show_event(self._given, event)
        else:
            self.screen.show(*spoken(event, palette()))

    def _ask(self, asked: Input) -> None:
        if asked.id not in self.questions and not self._given.json:
            self.questions[asked.id] = asked
            self.screen.show(*question_lines(asked, time.time_ns() // 1_000_000, palette()))
            self.screen.refresh()

    async def _look(self) -> None:
        """Look how the session stands."""
        try:
            self._session = (await self._client.get_session(self._session.id)).session
            self._is_cut_off = False
            if self._session.open_inputs != len(self.questions):
                await self._show_questions()
        except LokiError:
            self._is_cut_off = True
        self.screen.refresh()

    # What is typed

    async def _talk(self) -> int:
        from loki_twisted.command.prompting import Interrupted

        while True:
            try:
                line = await self.screen.line()
            except EOFError:
                return self._leave()
            except Interrupted:
                return Exit.INTERRUPTED
            try:
                meaning = read_line(line)
                if meaning == Command("detach"):
                    return self._leave()
                if meaning is not None:
                    await self._do(meaning)
            except LokiError as error:
                self.screen.show(palette().paint("red", complaint(error)))

    def _leave(self) -> int:
        name = plain(short(self._session.id))
        self.screen.show(f"Left; the session goes on: lokictl attach {name}")
        return Exit.DONE

    async def _do(self, meaning: Words | Command) -> None:
        client, session_id = self._client, self._session.id
        if isinstance(meaning, Words):
            await self._tell(meaning)
        elif meaning.name in ORDERS:
            order = await getattr(client, f"{meaning.name}_session")(session_id)
            self.screen.show(palette().paint("dim", plain(order.message)))
        elif meaning.name == "inbox":
            self.questions.clear()
            await self._show_questions()
        else:
            self.screen.show(*HELP)

    async def _tell(self, words: Words) -> None:
        """Answer the oldest question, or send a message."""
        asked = next(iter(self.questions.values()), None)
        if asked is None or words.is_urgent:
            delivery = Delivery.NOW if words.is_urgent else Delivery.NEXT
            await self._client.give_input(self._session.id, words.text, delivery=delivery)
            return
        answer = read_answer(asked, [words.text])
        await self._client.answer_input(self._session.id, asked.id, answer)
        self.questions.pop(asked.id, None)


def _exit_code_of_status(status: SessionStatus) -> Exit:
    if status is SessionStatus.COMPLETED:
        return Exit.DONE
    return Exit.STOPPED if status is SessionStatus.STOPPED else Exit.FAILED
