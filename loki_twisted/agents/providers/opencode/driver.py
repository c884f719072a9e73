"""
The driver of opencode, which speaks with its server through the bridge (``agents/bridges``).

A turn begins when it is given something, and ends when opencode says that the session is idle. It
says so also of what came before: so a session that does not show yet that it is at work on what
it was given cannot be idle.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, Final

from loki_twisted.agents.interface import LaunchRequest
from loki_twisted.agents.outputs import (
    Conversation,
    EndInput,
    Freed,
    Output,
    Outputs,
    Refused,
    Taken,
    TurnBegan,
    Verdict,
)
from loki_twisted.agents.providers.driver import RememberingDriver
from loki_twisted.agents.providers.opencode.asking import answered, order
from loki_twisted.agents.providers.opencode.events import read_event, withdrawn
from loki_twisted.agents.providers.opencode.parts import flushed, settled
from loki_twisted.agents.providers.opencode.state import (
    Fields,
    Phase,
    Problem,
    State,
    Told,
    fields,
    maybe_json,
    name_of,
    number_of,
    replaced,
    words_of,
)
from loki_twisted.agents.providers.opencode.words import facts_of_stderr, verdict_of
from loki_twisted.agents.providers.programs import OPENCODE
from loki_twisted.agents.providers.prompts import prompt_of
from loki_twisted.agents.providers.telling import MAIN, completed, failed, log, spawned, text
from loki_twisted.agents.providers.unknown import one_more, told
from loki_twisted.model.inputs import Answer
from loki_twisted.model.messages import Message

LINE_LIMIT: Final = 2 * 1024 * 1024
"""The bridge leaves no event larger than the half of this."""

BRIDGE: Final = "loki.bridge"
FIRST: Final = "first"
"""The id of the prompt that the session was started with."""


class OpencodeDriver(RememberingDriver[State]):
    """
    See :class:`IDriver`.

    :param request: What the session is about.
    :param memory: Of the driver before.
    """

    line_limit = LINE_LIMIT
    says_done = True

    def __init__(self, request: LaunchRequest, memory: str) -> None:
        super().__init__(State(), memory)
        self._request = request

    def begin(self) -> Outputs:
        """See :class:`IDriver`."""
        opened = order("open", conversation=self._request.conversation)
        return [opened, TurnBegan(), *self._prompted(FIRST, prompt_of(self._request))]

    def line(self, stream: str, text: str) -> Outputs:
        """See :class:`IDriver`."""
        if stream == "stderr":
            return facts_of_stderr(text)
        found = fields(maybe_json(text))
        reader = self._READERS.get(words_of(found.get(BRIDGE)))
        if reader is None:
            return self._not_known(name_of(found.get(BRIDGE)) or "a line that is none of ours")
        return reader(self, found)

    def quiet(self) -> Outputs:
        """See :class:`IDriver`."""
        return self._put(flushed(self._state))

    def say(self, message: Message) -> Outputs:
        """See :class:`IDriver`."""
        began = [TurnBegan()] if self._state.phase is Phase.IDLE else []
        if began:
            self._change(phase=Phase.ASKED, problem=None)
        return [*began, *self._prompted(message.id, message.text)]

    def answer(self, key: str, answer: Answer) -> Outputs:
        """See :class:`IDriver`."""
        return self._put(answered(self._state, key, answer))

    def interrupt(self) -> Outputs:
        """See :class:`IDriver`."""
        is_on = self._state.phase in (Phase.ASKED, Phase.BUSY)
        return [order("abort", id="abort")] if is_on else ()

    def ended(self) -> Outputs:
        """See :class:`IDriver`."""
        outputs = [*self._put(flushed(self._state)), *self._tell_unknown()]
        for name, child in self._state.children.items():
            if child.is_on:
                outputs.append(failed(name, child.kind, child.error))
        is_done = self._state.phase is Phase.IDLE and not self._state.failed
        if self._state.session:
            outputs.append((completed if is_done else failed)(MAIN, OPENCODE))
        return outputs

    # Lines of the bridge

    def _opened(self, found: Fields) -> Outputs:
        session = name_of(found.get("id"))
        if not session or self._state.session:
            return ()
        self._change(session=session, phase=Phase.ASKED)
        began = spawned(MAIN, OPENCODE, model=self._request.model)
        return [Conversation(session), began]

    def _event(self, found: Fields) -> Outputs:
        event = fields(found, "event")
        read = read_event(self._state, event)
        if read is None:
            return self._not_known(name_of(event.get("type")) or "an event without a type")
        outputs = self._put(read)
        return [*outputs, *self._after(event)]

    def _after(self, event: Fields) -> Outputs:
        """End the turn, if an event does that."""
        kind, properties = event.get("type"), fields(event, "properties")
        phase = self._state.phase
        if not self._state.session or properties.get("sessionID") != self._state.session:
            return ()
        if kind == "session.error":  # Before it shows that it is at work, it will not begin.
            has_failed = phase is Phase.ASKED and self._state.problem is not None
            return self._turn_over() if has_failed else ()
        is_idle = kind == "session.idle" or (
            kind == "session.status" and fields(properties, "status").get("type") == "idle"
        )
        if not is_idle or phase is not Phase.BUSY:
            return ()
        if self._state.unseen:  # Something more is on its way to it.
            self._change(phase=Phase.ASKED)
            return ()
        return self._turn_over()

    def _done(self, found: Fields) -> Outputs:
        return [Taken(name) for name in self._confirmed(found) if name != FIRST]

    def _refused(self, found: Fields) -> Outputs:
        why = text(words_of(found.get("why"))) or "opencode has refused it."
        names = self._confirmed(found)
        if not names:
            return [log("warn", f"opencode has not taken an answer or an order: {why}", OPENCODE)]
        self._change(unseen=max(0, self._state.unseen - len(names)))
        outputs: list[Output] = [Refused(name, why) for name in names if name != FIRST]
        if self._state.phase is Phase.ASKED and not self._state.unseen:
            self._change(problem=Problem(why))
            outputs += self._turn_over()
        return outputs

    def _confirmed(self, found: Fields) -> Sequence[str]:
        """Take a prompt off the list of those that wait; nothing if it is none of them."""
        name = found.get("id")
        if name not in self._state.waiting:
            return ()
        self._change(waiting=tuple(each for each in self._state.waiting if each != name))
        return [str(name)]

    def _dropped(self, found: Fields) -> Outputs:
        size = int(number_of(found.get("bytes")))
        return [log("warn", f"An event of {size} bytes was left out", OPENCODE)]

    def _reconnected(self, _: Fields) -> Outputs:
        words = "The stream of events was cut, and what may have been missed was read again"
        return [log("debug", words, OPENCODE)]

    def _gap(self, found: Fields) -> Outputs:
        return [log("warn", f"Not all could be read: {text(words_of(found.get('why')))}", OPENCODE)]

    def _over(self, found: Fields) -> Outputs:
        """The bridge ends. If it should not, then the turn has failed."""
        why = text(words_of(found.get("why")))
        is_well = found.get("ok") is True
        outputs: list[Output] = [log("debug" if is_well else "error", why, OPENCODE)]
        if self._state.phase is Phase.IDLE:
            return outputs
        if not is_well:
            self._change(problem=Problem(why[:2000] or "The bridge to opencode has failed."))
        return [*outputs, *self._turn_over()]

    # Turns

    def _prompted(self, name: str, words: str) -> Outputs:
        self._change(waiting=(*self._state.waiting, name), unseen=self._state.unseen + 1)
        agent = "plan" if self._request.dry_run else None
        model = self._request.model
        return [order("prompt", id=name, text=words, model=model, agent=agent)]

    def _turn_over(self) -> Outputs:
        state = self._state
        outputs = self._put(settled(state, state.session))
        outputs += self._put(withdrawn(self._state, state.session))
        if state.is_hindered:
            outputs.append(Freed())
        ended = verdict_of(self._state)
        outputs.append(ended)
        self._change(
            phase=Phase.IDLE,
            problem=None,
            step="",
            refused=False,
            is_hindered=False,
            unseen=0,
            failed=ended.verdict is not Verdict.DONE,
            last=ended.reason or "",
        )
        stays = self._request.stays_open or ended.verdict is Verdict.INTERRUPTED
        return outputs if stays else [*outputs, EndInput()]

    # What is remembered

    def _become(self, state: State) -> None:
        """Be in a state. It takes messages while it works: it looks for them at each step."""
        super()._become(state)
        self.is_ready = state.phase is Phase.IDLE
        self.takes_now = state.phase in (Phase.IDLE, Phase.ASKED, Phase.BUSY)

    def _change(self, **changes: object) -> None:
        self._become(replaced(self._state, **changes))

    def _put(self, told: Told) -> list[Output]:
        state, outputs = told
        self._become(state)
        return list(outputs)

    def _not_known(self, kind: str) -> Outputs:
        unknown, facts = one_more(self._state.unknown, kind, OPENCODE)
        self._change(unknown=unknown)
        return facts

    def _tell_unknown(self) -> Outputs:
        unknown, facts = told(self._state.unknown, OPENCODE)
        self._change(unknown=unknown)
        return facts

    _READERS: ClassVar[Mapping[str, Callable[[OpencodeDriver, Fields], Outputs]]] = {
        "session": _opened,
        "event": _event,
        "done": _done,
        "refused": _refused,
        "dropped": _dropped,
        "reconnected": _reconnected,
        "gap": _gap,
        "ended": _over,
    }
