"""Where an event stream begins, and where it goes on."""

from __future__ import annotations

import json

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred

from loki_twisted.client.frames import StreamBye
from loki_twisted.client.place import place_of
from loki_twisted.model.events import Event
from loki_twisted.model.filters import EventFilter
from tests.client_fakes import Played, frame
from tests.client_streams import RESET, Consumer, StreamCase, special


class PlaceTests(StreamCase):
    """What the server is asked to go on after."""

    def test_from_now_on_has_no_hole(self) -> None:
        """A stream from now on knows where it began, though its first connection brings nothing."""
        stats = self.played.server.answers[("GET", "/api/events/stats")][1]
        stats["newestEventId"] = "evt_7_7000"
        self.consume()
        assert self.played.stream.last_event_id == "evt_7_7000"
        self.played.stream.cut()
        self.played.flush()
        self.played.come_back()

        assert self.played.stream.last_event_id == "evt_7_7000"

    def test_from_now_on_in_an_empty_log(self) -> None:
        """Where there is no event yet, from now on is from the first one on, or it is told."""
        self.consume()
        assert self.played.stream.last_event_id == "evt_0_0"

    def test_the_place_of_from_now_on(self) -> None:
        """A consumer that has taken nothing yet can go on later all the same."""
        self.played.server.answers[("GET", "/api/events/stats")][1]["newestEventId"] = "evt_7_7000"
        stream = self.played.client.events()
        self.played.flush()

        assert stream.last_event_id == "evt_7_7000"

    def answer_history(self, *numbers: int) -> None:
        """Let the server have these events."""
        events = [json.loads(frame(number).split(b"data: ")[1]) for number in numbers]
        past = {"events": events, "count": len(events)}
        self.played.server.answers[("GET", "/api/events/history")] = (200, past)

    def test_history_begins_behind_the_event_before_it(self) -> None:
        """Where the last events begin is found out first, so that a cut loses nothing."""
        self.answer_history(4, 7, 9)
        self.consume(wanted=EventFilter("s"), history=2)
        asked = [each.uri for each in self.played.server.asked]
        assert asked == ["/api/events/history?sessionId=s&limit=3", "/api/events?sessionId=s"]
        assert self.played.stream.last_event_id == "evt_4_4000"

        self.played.stream.cut()
        self.played.flush()
        self.played.come_back()
        assert self.played.stream.last_event_id == "evt_4_4000"

    def test_a_history_of_all_there_is(self) -> None:
        """Where there are fewer events than are asked for, the stream begins with the first."""
        self.answer_history(1, 2)
        self.consume(history=2)

        assert self.played.stream.last_event_id == "earliest"

    def test_a_history_of_many_pages(self) -> None:
        """More events than the server lists at once are counted in several pages."""
        self.answer_history(*range(1, 1001))
        self.consume(history=1999)
        asked = [each.uri for each in self.played.server.asked]

        assert asked[0] == "/api/events/history?limit=1000"
        assert asked[1] == "/api/events/history?limit=1000&before=evt_1_1000"
        assert len(asked) == 3
        assert self.played.stream.last_event_id == "evt_1_1000"

    def test_bye_says_where_to_go_on(self) -> None:
        """The server's word of parting is a better place than that of the last event wanted."""
        for first in (b"", frame(2)):
            self.played = Played()
            self.consume(after="evt_1_1000")
            self.played.send(first + special("stream:bye", {"lastEventId": "evt_8_8000"}))
            self.played.stream.end()
            self.played.flush()
            self.played.come_back()

            assert self.played.stream.last_event_id == "evt_8_8000"
            self.nothing_is_left()

    def test_bye_counts_when_its_turn_comes(self) -> None:
        """While events before it are not taken, the stream does not go on behind them."""
        stream = self.played.client.events(after="evt_1_1000")
        self.played.flush()
        self.played.send(frame(2) + special("stream:bye", {"lastEventId": "evt_8_8000"}))
        self.played.stream.end()
        self.played.flush()
        self.played.advance(100)
        assert len(self.played.server.streams) == 1
        consumer = Consumer(stream).go()
        self.played.flush()

        assert consumer.taken == [2]
        assert self.played.stream.last_event_id == "evt_8_8000"

    def test_heartbeats_are_no_place_to_go_on(self) -> None:
        """A heartbeat is handed over, and forgotten as a place."""
        consumer = self.consume(after="evt_1_1000")
        beat = {
            "id": "hb_5",
            "type": "heartbeat",
            "timestamp": "2026-11-23T22:43:11.042Z",
            "sessionId": "s",
            "data": {"uptime": 1},
        }
        self.played.send(special("heartbeat", beat))

        assert consumer.taken == [5]
        assert consumer.stream.last_event_id == "evt_1_1000"

    def test_read_ahead_is_not_what_was_given(self) -> None:
        """The place of the consumer is that of the events that it took."""
        stream = self.played.client.events(after="evt_1_1000")
        self.played.flush()
        self.played.send(frame(2) + frame(3))
        assert stream.last_event_id == "evt_1_1000"

        self.successResultOf(Deferred.fromCoroutine(stream.__anext__()))
        assert stream.last_event_id == "evt_2_2000"

    def test_what_was_read_ahead_is_not_asked_for_again(self) -> None:
        """A slow consumer gets each event once though the connection breaks meanwhile."""
        stream = self.played.client.events(after="evt_1_1000")
        self.played.flush()
        self.played.send(frame(2) + frame(3))
        self.played.stream.cut()
        self.played.flush()
        consumer = Consumer(stream).go()
        self.played.come_back()
        assert self.played.stream.last_event_id == "evt_3_3000"

        self.played.send(frame(4))
        assert consumer.taken == [2, 3, 4]

    def test_closing_in_the_middle(self) -> None:
        """Who ends a stream between events that came together goes on after the last it took."""
        consumer = self.consume(after="evt_1_1000")
        consumer.stop_at = 1
        self.played.send(frame(2) + frame(3) + b"id: evt_9_9000\n\n")

        assert consumer.taken == [2]
        assert consumer.stream.last_event_id == "evt_2_2000"

    def come_back_after(self) -> str | None:
        """Let the connection break, and tell what the next one goes on after."""
        self.played.stream.cut()
        self.played.flush()
        self.played.come_back()
        return self.played.stream.last_event_id

    def test_a_stream_that_says_its_place(self) -> None:
        """Before the first event, the place that the stream itself gives is gone on after."""
        self.played.server.answers[("GET", "/api/events/stats")][1]["newestEventId"] = "evt_7_7000"
        for place in ("evt_9_9000", "evt_5_5000", "earliest"):
            stream = self.played.client.events()
            self.played.flush()
            assert self.played.stream.last_event_id == "evt_7_7000"
            self.played.send(b"id: %b\n\n" % place.encode())
            assert stream.last_event_id == place

            assert self.come_back_after() == place
            self.close(stream)

    def test_no_way_back(self) -> None:
        """After an event, neither a place nor a parting leads back before it; they lead on."""
        for told, after in (
            (b"id: evt_5_5000\n\n", "evt_6_6000"),
            (b"id: earliest\n\n", "evt_6_6000"),
            (b"id: nonsense\n\n", "evt_6_6000"),
            (b"id\n\n", "evt_6_6000"),
            (special("stream:bye", {"lastEventId": "evt_5_5000"}), "evt_6_6000"),
            (special("stream:bye", {"lastEventId": None}), "evt_6_6000"),
            (b"id: evt_8_8000\n\n", "evt_8_8000"),
            (b"id: earliest\n\n" + special("stream:news", {}), "evt_6_6000"),
        ):
            consumer = self.consume(after="earliest")
            self.played.send(frame(6) + told)
            assert consumer.stream.last_event_id == after
            assert self.come_back_after() == after
            self.close(consumer.stream)

    def test_no_way_back_before_what_it_began_after(self) -> None:
        """Who begins after an event has it."""
        self.consume(after="evt_6_6000")
        self.played.send(b"id: earliest\n\n")

        assert self.come_back_after() == "evt_6_6000"

    def test_the_way_back_after_a_reset(self) -> None:
        """Where the log is another one, the stream may lead anywhere: by a place, or a parting."""
        bye = special("stream:bye", {"lastEventId": "evt_3_3000"})
        reset = special("stream:reset", RESET)
        overtaken = special("stream:reset", {**RESET, "asked": None, "reason": "expired"})
        for said, after in (
            (reset + b"id: earliest\n\n", "earliest"),
            (b"id: earliest\n\n" + reset, "earliest"),
            (reset + bye, "evt_3_3000"),
            (reset + bye + special("stream:news", {}), "evt_3_3000"),
            (reset + frame(3), "evt_3_3000"),
            (reset + frame(3) + b"id: earliest\n\n", "evt_3_3000"),
            (overtaken + b"id: earliest\n\n", "evt_9_9"),
            (overtaken + bye, "evt_9_9"),
        ):
            consumer = self.consume(after="evt_9_9", on_reset=lambda reset: None)
            self.played.send(said)
            assert self.come_back_after() == after
            self.close(consumer.stream)

    def test_a_place_counts_when_its_turn_comes(self) -> None:
        """While events before it are not taken, the consumer is not at the place behind them."""
        stream = self.played.client.events(after="evt_1_1000")
        self.played.flush()
        self.played.send(frame(2) + b"id: evt_8_8000\n\n")
        assert stream.last_event_id == "evt_1_1000"

        Consumer(stream).go()
        assert stream.last_event_id == "evt_8_8000"
        assert self.come_back_after() == "evt_8_8000"


def at(number: int) -> str:
    return f"evt_{number}_{number * 1000}"


def an_event(number: int) -> Event:
    return msgspec.json.decode(frame(number).split(b"data: ")[1], type=Event)


SAID = st.one_of(st.none(), st.just("earliest"), st.just("nonsense"), st.integers(1, 20).map(at))
"""What a stream may say of its place."""


@given(st.lists(st.tuples(st.sampled_from(["event", "id", "bye"]), SAID)))
def test_places_never_lead_back(steps: list[tuple[str, str | None]]) -> None:
    """Whatever a stream says, its next connection gives no event that the consumer has."""
    place, last_id, newest = place_of(None), "", 0
    for kind, said in steps:
        if kind == "event":
            newest += 1
            last_id = at(newest)
            place = place.follow(an_event(newest), last_id)
            assert place.after == last_id
        elif kind == "bye":
            place = place.follow(StreamBye(said), last_id)
        else:
            last_id = said or ""
            place = place.heard(last_id)
        if newest:
            assert place.after is not None
            assert int(place.after.split("_")[1]) >= newest
