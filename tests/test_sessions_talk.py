"""Tests of the talk with agents: inputs, messages, turns, spending, and what silence means."""

from __future__ import annotations

from typing import Any

import msgspec
from twisted.internet.defer import Deferred

from loki_twisted.model.errors import Conflict, InvalidRequest, NotFound, StorageFailed, Unavailable
from loki_twisted.model.idempotency import IdempotencyKey
from loki_twisted.model.inputs import Answer, Input, InputStatus
from loki_twisted.model.messages import Message, MessageStatus
from loki_twisted.model.sessions import ReasonCode, Session, SessionStatus
from loki_twisted.model.spending import MOST_DOLLARS, MOST_TOKENS, CostOrigin, Spending
from loki_twisted.model.wire import StartOptions
from loki_twisted.state.interface import LogLines
from tests.fakes_sessions import FakeDriver
from tests.test_sessions_service import START_MS, SessionCase

ALLOW = Answer(values=("allow",))
DENY = Answer(values=("deny",))
KEY = IdempotencyKey(key="k", operation="giveInput", fingerprint="f")


class TalkCase(SessionCase):
    """A session of a talking agent, and short ways to its parts."""

    options = StartOptions()

    def setUp(self) -> None:
        super().setUp()
        self.id = self.start(prompt="it", options=self.options).id

    def says(self, *lines: str) -> None:
        self.successResultOf(self.world.says(self.id, *lines))

    def session(self) -> Session:
        return self.world.sessions.get(self.id)

    def open(self) -> list[Input]:
        return list(self.world.sessions.open_inputs())

    def answer(self, answer: Answer, asked: Input | None = None) -> Deferred[Input]:
        input_id = (asked or self.open()[0]).id
        return self.world.sessions.answer(self.id, input_id, answer, "ann")

    def give(self, text: str, **how: Any) -> Any:
        return self.successResultOf(self.world.sessions.give_input(self.id, text, None, **how))

    def heard(self) -> str:
        return self.world.agent(self.id).heard

    def types(self) -> list[str]:
        return self.world.log.types(self.id)

    def last(self, kind: str) -> dict[str, Any]:
        found = [fact.data for name, fact in self.world.log.events if fact.type == kind]
        return dict(found[-1])


class BeginningTests(TalkCase):
    """What an agent is told at first."""

    def test_it_is_told_what_to_do_once(self) -> None:
        """The prompt goes to its input when the start is on disk, and never again."""
        assert self.heard() == "do it\n"
        self.restart()
        assert self.heard() == "do it\n"

    def test_told_by_the_next_server(self) -> None:
        """What was on disk and not yet written when a server was killed is written by the next."""
        self.world.log.automatic = False
        self.world.says(self.id, "done")
        self.world.agent(self.id).deaf = Unavailable("about to crash")
        self.world.log.automatic = True
        self.world.log.commit()
        self.world.sessions.give_input(self.id, "more", None)
        assert self.heard() == "do it\n"
        self.world.agent(self.id).deaf = None
        self.restart()
        assert self.heard() == "do it\nsay more\n"


class InputTests(TalkCase):
    """What an agent asks."""

    def test_an_open_input(self) -> None:
        """It is listed, told, and the reason for which the session does not get on."""
        self.says("ask dig")
        [asked] = self.open()
        assert (asked.prompt, asked.status, asked.session_id) == (
            "May I dig?",
            InputStatus.OPEN,
            self.id,
        )
        told = self.last("input:requested")
        assert told["inputId"] == asked.id
        assert told["options"] == ["allow", "deny"]
        session = self.session()
        assert session.reason_code is ReasonCode.WAITING_FOR_INPUT
        assert session.reason == "May I dig?"
        assert session.open_inputs == 1

    def test_the_reason_outlasts_a_pause(self) -> None:
        """What is resumed waits for the same people as before, and that is told."""
        self.says("ask dig")
        self.successResultOf(self.world.sessions.pause(self.id))
        assert self.session().reason_code is None
        self.successResultOf(self.world.sessions.resume(self.id))
        assert self.session().reason_code is ReasonCode.WAITING_FOR_INPUT
        assert self.last("session:updated")["reasonCode"] == "waiting_for_input"

    def test_an_answer(self) -> None:
        """It reaches the agent, is told with who gave it, and closes the input."""
        self.says("ask dig")
        settled = self.successResultOf(self.answer(ALLOW))
        assert (settled.status, settled.answered_by) == (InputStatus.ANSWERED, "ann")
        assert self.heard().endswith("answer dig allow\n")
        assert self.last("input:answered")["answeredBy"] == "ann"
        assert self.open() == []
        assert self.session().reason_code is None

    def test_the_first_answer_counts(self) -> None:
        """The same again is fine and reaches the agent once; another one is a conflict."""
        self.says("ask dig")
        [asked] = self.open()
        self.successResultOf(self.answer(ALLOW, asked))
        self.successResultOf(self.answer(ALLOW, asked))
        error = self.refused(self.answer(DENY, asked), Conflict)
        assert "ann" in str(error)
        assert self.heard().count("answer") == 1

    def test_the_first_answer_counts_after_a_restart(self) -> None:
        """The next server knows it too."""
        self.says("ask dig")
        [asked] = self.open()
        self.successResultOf(self.answer(ALLOW, asked))
        self.restart()
        self.successResultOf(self.answer(ALLOW, asked))
        self.refused(self.answer(DENY, asked), Conflict)

    def test_two_at_once(self) -> None:
        """Of two answers that come before either is on disk the second is the one too many."""
        self.says("ask dig")
        [asked] = self.open()
        self.world.log.automatic = False
        first, second = self.answer(ALLOW, asked), self.answer(DENY, asked)
        self.refused(second, Conflict)
        self.world.log.commit()
        assert self.successResultOf(first).answer == ALLOW

    def test_an_answer_that_cannot_be_stored(self) -> None:
        """Nobody is told anything, the agent neither; later it can be answered otherwise."""
        self.says("ask dig")
        [asked] = self.open()
        self.world.log.broken = True
        self.refused(self.answer(ALLOW, asked), StorageFailed)
        assert "answer" not in self.heard()
        self.world.log.broken = False
        self.successResultOf(self.answer(DENY, asked))
        assert self.heard().endswith("answer dig deny\n")

    def test_no_answer(self) -> None:
        """What is no option is refused, and the input stays open."""
        self.says("ask dig")
        for values in ((), ("perhaps",), ("allow", "deny")):
            self.refused(self.answer(Answer(values=values)), InvalidRequest)
        assert len(self.open()) == 1

    def test_no_such_input(self) -> None:
        """An id that nobody gave."""
        done = self.world.sessions.answer(self.id, "input_1_00000000", ALLOW, "ann")
        self.refused(done, NotFound)

    def test_it_is_withdrawn(self) -> None:
        """The agent changes its mind: then nobody can answer any more."""
        self.says("ask dig", "withdraw dig")
        assert self.open() == []
        assert self.last("input:withdrawn")["reason"] == "changed its mind"

    def test_it_survives_a_restart(self) -> None:
        """An open input is open in the next server, and its answer finds the agent."""
        self.says("ask dig")
        [asked] = self.open()
        self.restart()
        assert self.open() == [asked]
        self.successResultOf(self.answer(ALLOW, asked))
        assert self.heard() == "do it\nanswer dig allow\n"

    def test_it_ends_with_its_agent(self) -> None:
        """Nobody can answer an agent that is gone."""
        self.says("ask dig")
        self.world.ends(self.id, 0)
        assert self.open() == []
        [row] = self.world.log.input_rows.values()
        assert row.status is InputStatus.WITHDRAWN
        assert self.types()[-1] == "session:failed"  # in the middle of its turn

    def test_asked_twice(self) -> None:
        """The same question under the same name is one."""
        self.says("ask dig", "ask dig")
        assert len(self.open()) == 1

    def test_too_many(self) -> None:
        """More than 200 are never open: the oldest are denied."""
        self.says(*(f"ask {number}" for number in range(205)))
        assert len(self.open()) == 200
        assert self.heard().count("deny") == 5

    def test_too_many_that_cannot_be_denied(self) -> None:
        """Of questions in words, which no policy can answer, the oldest are withdrawn."""
        self.says(*(f"question {number}" for number in range(205)))
        assert [each.prompt for each in self.open()][:1] == ["Which 5?"]
        assert len(self.open()) == 200
        assert self.last("input:withdrawn")["reason"] == "More than 200 are open."

    def test_an_answer_while_it_is_withdrawn(self) -> None:
        """Who answers what is withdrawn, before that is on disk, is told why it was."""
        self.says("ask dig")
        [asked] = self.open()
        self.world.log.automatic = False
        self.world.says(self.id, "withdraw dig")
        error = self.refused(self.answer(ALLOW, asked), Conflict)
        assert str(error) == "It was withdrawn: changed its mind"
        self.world.log.commit()
        assert self.heard().count("answer") == 0

    def test_an_answer_while_its_agent_ends(self) -> None:
        """So is who answers while the end of the agent is on its way to the disk."""
        self.says("ask dig")
        [asked] = self.open()
        self.world.log.automatic = False
        self.world.ends(self.id, 0)
        error = self.refused(self.answer(ALLOW, asked), Conflict)
        assert str(error) == "It was withdrawn: The agent has ended."
        self.world.log.commit()

    def test_text_for_the_only_input(self) -> None:
        """Input of the old kind answers the one open question, by value or label."""
        self.says("ask dig")
        given = self.give("yes")
        assert given.answered is not None
        assert self.heard().endswith("answer dig allow\n")

    def test_text_that_answers_nothing(self) -> None:
        """A text that is no answer to the one open permission is refused."""
        self.says("ask dig")
        self.refused(self.world.sessions.give_input(self.id, "hm", None), InvalidRequest)

    def test_any_text_answers_a_question(self) -> None:
        """A question takes what people say."""
        self.says("question colour")
        self.give("as the sky")
        assert self.heard().endswith("answer colour as the sky\n")

    def test_a_limit_that_no_calendar_has(self) -> None:
        """An agent that waits beyond the year 9999, or says so, is heard as any other."""
        self.says(f"ask dig {10**15}", f"ask sow -{10**15}")
        dig, sow = sorted(self.open(), key=lambda each: each.prompt)
        assert dig.expires_at == "9999-12-31T23:59:59.999Z"
        assert sow.expires_at == "1970-01-01T00:00:00.000Z"

    def test_a_rate_limit_that_no_calendar_has(self) -> None:
        """It is told as the last time that there is; one that has passed is over at once."""
        self.says(f"limited {10**18}")
        assert self.session().reason_until == "9999-12-31T23:59:59.999Z"
        self.says(f"limited -{10**18}")
        assert self.session().reason_until == "1970-01-01T00:00:00.000Z"
        self.world.clock.advance(0)
        assert self.session().reason_code is None


class PolicyTests(TalkCase):
    """What becomes of inputs that nobody answers: here they are denied after 10 seconds."""

    options = StartOptions(on_unanswered="deny", input_timeout=10_000)

    def test_a_limit_that_passes(self) -> None:
        """The policy answers in people's place, and says so."""
        self.says("ask dig")
        self.world.clock.advance(9.9)
        assert len(self.open()) == 1
        self.world.clock.advance(0.2)
        assert self.open() == []
        assert self.heard().endswith("answer dig deny\n")
        assert self.last("input:answered")["answeredBy"] == "policy"

    def test_a_limit_that_passes_over_a_restart(self) -> None:
        """Time goes on while no server runs."""
        self.says("ask dig")
        self.world.launcher.close()
        self.world.clock.advance(60)
        self.restart()
        self.world.clock.advance(0)
        assert self.heard().endswith("answer dig deny\n")

    def test_what_no_policy_can_answer(self) -> None:
        """A question in words stays open: its agent would wait for ever if it were dropped."""
        self.says("question colour")
        self.world.clock.advance(3600)
        [asked] = self.open()
        assert asked.expires_at is None

    def test_before_the_agent_gives_up(self) -> None:
        """Where the agent waits less long than the policy, the policy is a second earlier."""
        self.says("ask dig 5000")
        self.world.clock.advance(4.1)
        assert self.heard().endswith("answer dig deny\n")

    def test_a_log_that_cannot_be_written(self) -> None:
        """What was due is done when it can be put on disk."""
        self.says("ask dig")
        self.world.log.broken = True
        self.world.clock.advance(10.1)
        assert "deny" not in self.heard()
        self.world.log.broken = False
        self.world.clock.advance(1.1)
        assert self.heard().count("answer dig deny\n") == 1


class PatientPolicyTests(TalkCase):
    """Where nobody said otherwise, questions stay open as long as the agent waits."""

    def test_it_stays_open(self) -> None:
        """For days."""
        self.says("ask dig")
        self.world.clock.advance(3 * 86_400)
        assert len(self.open()) == 1

    def test_the_agent_gives_up(self) -> None:
        """Then it is withdrawn, and the agent is told nothing."""
        self.says("ask dig 5000")
        self.world.clock.advance(5.1)
        assert self.open() == []
        assert self.last("input:withdrawn")["reason"] == "The agent went on by itself."
        assert "answer" not in self.heard()


class MessageTests(TalkCase):
    """What people tell an agent."""

    def test_a_busy_agent(self) -> None:
        """A message waits for the end of the turn, and is told at each step."""
        message = self.give("more").message
        assert message.status is MessageStatus.QUEUED
        assert self.session().queued_messages == 1
        assert self.heard() == "do it\n"
        self.says("done")
        assert self.heard() == "do it\nsay more\n"
        types = [each for each in self.types() if each.startswith("message:")]
        assert types == ["message:queued", "message:delivered"]
        assert self.world.log.message_rows[self.id, message.id].status is MessageStatus.DELIVERED

    def test_an_agent_that_will_end(self) -> None:
        """It has the message at once, but nobody was told that it waits for one."""
        self.says("done")
        assert self.session().reason_code is None
        message: Message = self.give("more").message
        assert message.status is MessageStatus.DELIVERED

    def test_an_agent_that_left_off(self) -> None:
        """It waits for a message after an interruption, though it was not to stay."""
        self.says("interrupted")
        assert self.session().reason_code is ReasonCode.WAITING_FOR_MESSAGE

    def test_in_order(self) -> None:
        """One a turn, first come first served."""
        for text in ("one", "two", "three"):
            self.give(text)
        self.says("done")
        assert self.heard() == "do it\nsay one\n"
        self.says("done")
        self.says("done")
        assert self.heard() == "do it\nsay one\nsay two\nsay three\n"

    def test_too_many(self) -> None:
        """More than 200 never wait for an agent that is busy."""
        for _ in range(200):
            self.give("more")
        self.refused(self.world.sessions.give_input(self.id, "more", None), Conflict)
        self.says("done")
        assert self.session().queued_messages == 199
        assert self.give("more").message.status is MessageStatus.QUEUED

    def test_an_agent_that_wants_no_more(self) -> None:
        """One that ends behind its turn has first what waits, and takes nothing then."""
        self.give("more")
        self.says("done", "end")
        assert self.heard() == "do it\nsay more\n"
        self.says("turn", "done", "end")
        self.refused(self.world.sessions.give_input(self.id, "yet more", None), Conflict)

    def test_over_a_restart(self) -> None:
        """What waits waits in the next server too, and is given once."""
        self.give("one")
        self.restart()
        assert self.session().queued_messages == 1
        self.says("done")
        assert self.heard() == "do it\nsay one\n"

    def test_the_agent_ends(self) -> None:
        """What it never had is dropped, and that is told."""
        message = self.give("more").message
        self.world.ends(self.id, 1)
        row = self.world.log.message_rows[self.id, message.id]
        assert (row.status, row.reason) == (MessageStatus.DROPPED, "The agent has ended.")
        assert "message:dropped" in self.types()

    def test_after_the_last_word(self) -> None:
        """An agent whose input has ended takes no more."""
        self.says("done", "end")
        self.refused(self.world.sessions.give_input(self.id, "more", None), Conflict)

    def test_with_a_key(self) -> None:
        """What was done under a key is stored with it."""
        message = self.give("more", once=KEY).message
        assert self.world.log.done["k"].target == message.id

    def test_interrupting(self) -> None:
        """A busy agent is told to leave off; one that waits cannot be."""
        self.successResultOf(self.world.sessions.interrupt(self.id))
        assert self.heard() == "do it\ninterrupt\n"
        self.says("done")
        self.refused(self.world.sessions.interrupt(self.id), Conflict)


class StayingTests(TalkCase):
    """An agent that is to stay for more."""

    options = StartOptions(stay_open=True)

    def test_an_agent_that_waits(self) -> None:
        """It is told that it waits, has the message at once, and then waits no longer."""
        self.says("done")
        assert self.session().reason_code is ReasonCode.WAITING_FOR_MESSAGE
        message: Message = self.give("more").message
        assert message.status is MessageStatus.DELIVERED
        assert self.session().reason_code is None


class EndTests(TalkCase):
    """How a session ends whose agent says how its turns end."""

    def end(self, code: int) -> Session:
        self.world.ends(self.id, code)
        return self.session()

    def test_done_and_exit_0(self) -> None:
        """It is completed."""
        self.says("done")
        assert self.end(0).status is SessionStatus.COMPLETED

    def test_done_and_killed(self) -> None:
        """It had done its work."""
        self.says("done")
        session = self.end(137)
        assert session.status is SessionStatus.COMPLETED
        assert session.reason_code is ReasonCode.EXIT_CODE

    def test_failed_and_exit_0(self) -> None:
        """Its own words count."""
        self.says("failed No money.")
        session = self.end(0)
        assert (session.status, session.reason) == (SessionStatus.FAILED, "No money.")
        assert session.reason_code is ReasonCode.SAID_SO

    def test_exit_0_without_a_word(self) -> None:
        """In the middle of its work that is a failure."""
        session = self.end(0)
        assert session.status is SessionStatus.FAILED
        assert session.reason_code is ReasonCode.NEVER_SAID

    def test_the_last_lines_of_standard_error(self) -> None:
        """They stand behind the exit code."""
        listener = self.world.agent(self.id).listener
        assert listener is not None
        listener.lines_received("stderr", ["one", "two"], {f"{self.id}/stderr": "2"})
        session = self.end(3)
        assert session.reason == "The agent ended with exit code 3.\none\ntwo"

    def test_done_without_an_exit(self) -> None:
        """An agent that has done all and stays is ended after a while; it had completed."""
        self.says("done", "end")
        agent = self.world.agent(self.id)
        assert agent.orders[-1] == "end"
        self.world.clock.advance(29)
        assert "stop" not in agent.orders
        self.world.clock.advance(2)
        assert agent.orders[-1] == "stop"
        self.world.ends(self.id, None, 15)
        assert self.session().status is SessionStatus.COMPLETED

    def test_last_words(self) -> None:
        """What was held back is told before the end."""
        self.says("hold half a sentence", "done")
        self.end(0)
        messages = [f.data.get("message") for _, f in self.world.log.events]
        assert "half a sentence" in messages


class SilenceTests(TalkCase):
    """What it means that nothing comes."""

    def test_what_is_held_back(self) -> None:
        """It is said after a second, whole and once."""
        self.says("hold half ", "hold a sentence")
        assert "half a sentence" not in str(self.world.log.events)
        self.world.clock.advance(1.1)
        assert self.last("log:info")["message"] == "half a sentence"
        self.world.clock.advance(5)
        assert str(self.world.log.events).count("half a sentence") == 1

    def test_what_is_held_back_over_a_restart(self) -> None:
        """The next server says it."""
        self.says("hold half a sentence")
        self.restart()
        self.world.clock.advance(1.1)
        assert self.last("log:info")["message"] == "half a sentence"

    def test_a_stall(self) -> None:
        """After ten minutes without a word that is told once, and taken back by the next word."""
        self.world.clock.advance(599)
        assert "session:stalled" not in self.types()
        self.world.clock.advance(2)
        assert self.session().reason_code is ReasonCode.STALLED
        self.world.clock.advance(2000)
        assert self.types().count("session:stalled") == 1
        self.says("still here")
        assert self.session().reason_code is None
        assert "stop" not in self.world.agent(self.id).orders

    def test_no_stall_at_the_start(self) -> None:
        """However long the machine has been up."""
        self.world.clock.advance(5000)
        self.id = self.start("one", prompt="it").id
        self.world.clock.advance(1)
        assert "session:stalled" not in self.types()

    def test_files_are_signs_of_life(self) -> None:
        """An agent that prints nothing and writes to its log file has not stalled, or no more."""
        lines = LogLines(session_id=None, source="a", lines=["at work"], cursors={})
        for seconds in (599, 599, 2000):
            self.world.clock.advance(seconds)
            assert self.types().count("session:stalled") == (seconds == 2000)
            told = self.world.observer.seen(self.session().project_dir, [lines])
            self.successResultOf(told)
        assert self.session().reason_code is None
        assert self.types().count("session:stalled") == 1

    def test_files_do_not_keep_anything_back(self) -> None:
        """What a driver holds back of what is printed is said in time, whatever files say."""
        self.says("hold half a sentence")
        for number in range(4):
            lines = LogLines(session_id=None, source="a", lines=[f"{number}"], cursors={})
            self.successResultOf(self.world.observer.seen(self.session().project_dir, [lines]))
            self.world.clock.advance(0.4)
        assert "half a sentence" in str(self.world.log.events)

    def test_a_pause_is_no_silence(self) -> None:
        """Ten minutes after it was resumed a silent agent has stalled, and not before."""
        sessions = self.world.sessions
        self.world.clock.advance(300)
        self.successResultOf(sessions.pause(self.id))
        self.world.clock.advance(5000)
        self.successResultOf(sessions.resume(self.id))
        self.world.clock.advance(599)
        assert "session:stalled" not in self.types()
        self.world.clock.advance(2)
        assert "session:stalled" in self.types()

    def test_no_stall_while_people_are_asked(self) -> None:
        """Who waits for people is not stalled."""
        self.says("ask dig")
        self.world.clock.advance(5000)
        assert "session:stalled" not in self.types()

    def test_a_rate_limit(self) -> None:
        """It is the reason until its end, and then the agent is told to go on."""
        self.says(f"limited {START_MS + 60_000}")
        session = self.session()
        assert session.reason_code is ReasonCode.RATE_LIMITED
        assert session.reason_until == "2026-11-24T00:01:00.000Z"
        self.world.clock.advance(61)
        assert self.heard().endswith("go on\n")
        assert self.session().reason_code is None

    def test_trying_again(self) -> None:
        """The reason goes with the next sign of work."""
        self.says("retrying")
        assert self.session().reason_code is ReasonCode.RETRYING
        self.says("works again")
        assert self.session().reason_code is None

    def test_trouble_and_work_at_once(self) -> None:
        """Of lines that come together the last decides."""
        self.says("retrying", "works again")
        assert self.session().reason_code is None
        self.says("retrying")
        self.says("works again", f"limited {START_MS + 60_000}")
        assert self.session().reason_code is ReasonCode.RATE_LIMITED
        self.world.clock.advance(61)
        assert self.heard().endswith("go on\n")


class SpendingTests(TalkCase):
    """What is spent."""

    def test_totals(self) -> None:
        """Of totals so far the difference is booked; a total that went down begins anew."""
        self.says("total 0.5 100", "total 0.75 150", "total 0.25 50")
        costs = [each.spending.cost for each in self.world.log.spent]
        assert costs == [0.5, 0.25, 0.25]
        usage = self.session().usage
        assert (usage.cost, usage.input_tokens) == (1.0, 200)
        assert usage.cost_origin is CostOrigin.REPORTED

    def test_numbers_that_cannot_be(self) -> None:
        """Whatever an agent makes up, its session can be read back from the disk."""
        mad = "total inf 1000000000000000000000000000"
        self.says(mad, "total nan -5", "total 1e308 1", "total 1e308 7")
        session = self.session()
        assert msgspec.json.decode(msgspec.json.encode(session), type=Session) == session
        assert session.usage.cost == MOST_DOLLARS
        assert session.usage.input_tokens == MOST_TOKENS
        assert len(self.world.log.spent) == 3

    def test_over_a_restart(self) -> None:
        """The last total is known to the next server."""
        self.says("total 0.5 100")
        self.restart()
        self.says("total 0.75 150")
        assert [each.spending.cost for each in self.world.log.spent] == [0.5, 0.25]

    def test_of_a_conversation(self) -> None:
        """A run that continues a conversation goes on from its total."""
        self.says("named chat-1", "total 0.5 100", "done")
        self.world.ends(self.id, 0)
        wanted = self.wanted(prompt="more")
        done = self.world.sessions.continue_session(self.id, wanted)
        following = self.successResultOf(done)
        assert (following.continues, following.conversation) == (self.id, "chat-1")
        self.id = following.id
        self.says("total 0.75 150")
        last = self.world.log.spent[-1]
        assert last.spending == Spending(cost=0.25, input_tokens=50)


class ContinuingTests(TalkCase):
    """Going on with a conversation."""

    def test_while_it_runs(self) -> None:
        """Then one sends a message instead."""
        done = self.world.sessions.continue_session(self.id, self.wanted(prompt="more"))
        self.refused(done, Conflict)

    def test_without_a_name(self) -> None:
        """A conversation that was never named cannot be continued."""
        self.says("done")
        self.world.ends(self.id, 0)
        done = self.world.sessions.continue_session(self.id, self.wanted(prompt="more"))
        error = self.refused(done, Conflict)
        assert "never named" in str(error)


class BrokenDriverTests(TalkCase):
    """A driver that raises whatever it is asked: its programmer made a mistake."""

    def broken(self, *names: str) -> None:
        def fail(*args: object) -> None:
            raise OverflowError(str(args))

        for name in names:
            self.patch(FakeDriver, name, property(fail) if name == "is_ready" else fail)
        self.addCleanup(self.flushLoggedErrors, OverflowError)

    def test_the_end(self) -> None:
        """The session ends all the same, and the error is told."""
        self.broken("ended", "memory")
        self.world.ends(self.id, 0)
        assert self.session().status.is_final
        assert "failed" in self.last("log:error")["message"]

    def test_a_message(self) -> None:
        """It is dropped, with the reason."""
        self.says("done")
        self.broken("say")
        told = self.give("more").message
        assert (told.status, told.reason) == (MessageStatus.DROPPED, "Its driver failed on it.")

    def test_an_answer(self) -> None:
        """It is withdrawn, because the agent never has it, and whoever answers is told so."""
        self.says("ask dig")
        [asked] = self.open()
        self.broken("answer")
        error = self.refused(self.answer(DENY), Conflict)
        assert str(error) == "It was withdrawn: Its driver failed on the answer."
        self.refused(self.answer(DENY, asked), Conflict)
        assert self.world.log.input_rows[self.id, asked.id].status is InputStatus.WITHDRAWN
        assert "input:answered" not in self.types()
        assert "failed" in self.last("log:error")["message"]

    def test_an_interruption(self) -> None:
        """It is refused."""
        self.broken("interrupt")
        self.refused(self.world.sessions.interrupt(self.id), Conflict)

    def test_a_silence(self) -> None:
        """What is due later still comes."""
        self.says("ask dig 60000")
        self.broken("quiet", "is_ready")
        self.world.clock.advance(1)
        self.world.clock.advance(60)
        assert self.open() == []


class SecretTests(TalkCase):
    """Secrets in what an agent asks."""

    def test_a_question_with_a_key_in_it(self) -> None:
        """It is masked in the row and in the event."""
        secret = "sk-ant-" + "a" * 40
        self.says(f"ask {secret}")
        assert secret not in str(self.world.log.events)
        assert secret not in str(list(self.world.log.input_rows.values()))
        self.successResultOf(self.answer(DENY))
        assert self.heard().endswith(f"answer {secret} deny\n")

    def told(self) -> str:
        assert self.last("log:info")["message"] == "***"
        return str(self.world.log.events)

    def test_a_key_that_comes_in_parts(self) -> None:
        """It is masked when the driver tells the parts as one, by whatever line that is."""
        self.says("hold s")
        self.says("hold k-ant-aaaaaaaa")
        self.says("hold aaaaaaaaaaaaaaaa")
        self.says("tell")
        assert "aaaaaaaa" not in self.told()

    def test_a_key_in_parts_that_come_at_once(self) -> None:
        """Nor is it told if no line between shows it."""
        self.says("hold s", "hold k-ant-aaaaaaaa", "hold aaaaaaaaaaaaaaaa", "tell")
        assert "aaaaaaaa" not in self.told()

    def test_a_key_that_is_told_with_an_answer(self) -> None:
        """What a driver held back until it is given an answer is masked too."""
        self.says("ask dig", "hold sk-ant-aaaaaaaaaaaaaaaaaaaaaaaa")
        self.successResultOf(self.answer(DENY))
        assert "aaaaaaaa" not in self.told()

    def test_a_key_that_is_told_with_a_message(self) -> None:
        """And so is what it held back until it is given a message."""
        self.says("done", "hold sk-ant-aaaaaaaaaaaaaaaaaaaaaaaa")
        self.give("more")
        assert "aaaaaaaa" not in self.told()


class BudgetTests(TalkCase):
    """What a session may spend: here one dollar, or 1,000 tokens."""

    options = StartOptions(budget_usd=1.0, max_tokens=1_000)

    def warnings(self) -> list[str]:
        events = self.world.log.events
        return [fact.data["message"] for _, fact in events if fact.type == "log:warn"]

    def test_a_warning(self) -> None:
        """Told once, at four fifths."""
        self.says("total 0.79 10")
        assert self.warnings() == []
        self.says("total 0.80 10", "total 0.85 10")
        assert len(self.warnings()) == 1

    def test_a_warning_over_a_restart(self) -> None:
        """The next server does not tell it again."""
        self.says("total 0.80 10")
        self.restart()
        self.says("total 0.85 10")
        assert len(self.warnings()) == 1

    def test_the_end(self) -> None:
        """Who has spent what he may is stopped for that reason."""
        self.says("total 1.0 10")
        session = self.session()
        assert session.status is SessionStatus.STOPPING
        assert "stop" in self.world.agent(self.id).orders
        self.world.ends(self.id, None, 15)
        session = self.session()
        assert (session.status, session.reason_code) == (
            SessionStatus.STOPPED,
            ReasonCode.OVER_BUDGET,
        )
        assert session.reason == "The session has spent $1.00 of a budget of $1.00."

    def test_tokens(self) -> None:
        """They are limited too."""
        self.says("total 0.01 1000")
        assert self.session().reason_code is ReasonCode.OVER_BUDGET

    def test_a_server_that_ended_before_it_could_stop(self) -> None:
        """The next one stops the session."""
        self.world.log.automatic = False
        self.world.says(self.id, "total 1.0 10")
        self.world.log.commit()
        self.world.log.automatic = True
        row = self.world.log.rows[self.id]
        self.world.log.rows[self.id] = msgspec.structs.replace(row, status=SessionStatus.RUNNING)
        self.world.agent(self.id).orders.clear()
        self.restart()
        assert "stop" in self.world.agent(self.id).orders


class TimeTests(TalkCase):
    """How long a session may take: here ten seconds."""

    options = StartOptions(timeout=10_000)

    def test_a_warning_and_the_end(self) -> None:
        """The one at four fifths, the other when the time is over."""
        self.world.clock.advance(7.9)
        assert "log:warn" not in self.types()
        self.world.clock.advance(0.2)
        assert "log:warn" in self.types()
        self.world.clock.advance(2)
        assert self.session().reason_code is ReasonCode.TIMED_OUT
        assert "stop" in self.world.agent(self.id).orders

    def test_over_a_restart(self) -> None:
        """Time goes on, and the warning is given once."""
        self.world.clock.advance(8.1)
        self.restart()
        assert self.types().count("log:warn") == 1
        self.world.clock.advance(2)
        assert self.session().reason_code is ReasonCode.TIMED_OUT
