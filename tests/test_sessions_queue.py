"""The decision who goes to work: its laws, for any line and any slots."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loki_twisted.model.errors import SessionAlreadyRunning, TooManySessions
from loki_twisted.sessions.queue import (
    Lack,
    Obstacle,
    Slots,
    Taker,
    Turns,
    Waiting,
    in_line,
    refusal,
    turns,
)

PROVIDERS = ["claude", "codex", "aider"]
PROJECTS = ["/a", "/b", "/c", "/d"]

SLOTS = st.builds(
    Slots,
    server=st.integers(1, 6),
    project=st.integers(1, 3),
    providers=st.dictionaries(st.sampled_from(PROVIDERS), st.integers(1, 3)),
)
KINDS = st.tuples(st.sampled_from(PROVIDERS), st.sampled_from(PROJECTS))
LINES = st.lists(st.tuples(KINDS, st.integers(-1, 1)), max_size=12).map(
    lambda wanted: [
        Waiting(Taker(f"w{number}", *kind), priority, number)
        for number, (kind, priority) in enumerate(wanted)
    ]
)
CLOSED = st.sets(st.sampled_from(PROJECTS), max_size=2)


def takers(kinds: Iterable[tuple[str, str]], prefix: str = "s") -> list[Taker]:
    """Sessions of these providers in these projects."""
    return [Taker(f"{prefix}{number}", *kind) for number, kind in enumerate(kinds)]


def line(*kinds: tuple[str, str]) -> list[Waiting]:
    """Sessions that wait, of one priority, in this order."""
    return [Waiting(each, 0, number) for number, each in enumerate(takers(kinds, "w"))]


AT_WORK = st.lists(KINDS, max_size=6).map(takers)


def is_full(inside: Sequence[Taker], taker: Taker, slots: Slots) -> Mapping[Lack, bool]:
    """By kind of slot, whether it is all taken for a session."""
    of_provider = Counter(each.provider for each in inside)
    in_project = Counter(each.project_dir for each in inside)
    most = slots.providers.get(taker.provider, 1000)
    return {
        Lack.SERVER: len(inside) >= slots.server,
        Lack.PROJECT: in_project[taker.project_dir] >= slots.project,
        Lack.PROVIDER: of_provider[taker.provider] >= most,
    }


# Examples


def test_nobody_waits_for_nothing() -> None:
    """Where there is room for all, all go to work, in the order of the line."""
    came = turns([], line(("claude", "/a"), ("codex", "/b")), Slots(server=2))
    assert came == Turns(["w0", "w1"], {})


def test_who_waits_for_a_provider_holds_up_nobody_else() -> None:
    """Those behind it that need no slot of that provider go to work."""
    slots = Slots(server=4, providers={"codex": 1})
    came = turns(
        takers([("codex", "/a")]),
        line(("codex", "/b"), ("claude", "/c"), ("codex", "/d")),
        slots,
    )
    assert came.started == ["w1"]
    assert came.obstacles == {"w0": Obstacle(Lack.PROVIDER), "w2": Obstacle(Lack.PROVIDER)}


def test_a_project_directory_is_kept_for_the_first_who_wants_it() -> None:
    """Also while he waits for his provider: else both might be free only one after the other."""
    slots = Slots(server=4, providers={"codex": 1})
    came = turns(takers([("codex", "/a")]), line(("codex", "/b"), ("claude", "/b")), slots)
    assert came.started == []
    assert came.obstacles["w1"] == Obstacle(Lack.TURN, "w0")


def test_a_higher_priority_goes_first() -> None:
    """Whenever it came."""
    wanted = [Waiting(Taker(f"w{p}", "claude", f"/{p}"), p, -p) for p in (-100, 0, 100)]
    assert turns([], wanted, Slots(server=2)).started == ["w100", "w0"]


def test_a_stranger_closes_a_project() -> None:
    """Who wants to work where somebody else does waits, and holds up nobody elsewhere."""
    came = turns([], line(("claude", "/a"), ("claude", "/b")), Slots(server=1), {"/a"})
    assert came == Turns(["w1"], {"w0": Obstacle(Lack.STRANGER)})


@pytest.mark.parametrize(
    ("obstacle", "kind", "details"),
    [
        (Obstacle(Lack.PROJECT, "s1"), SessionAlreadyRunning, {"sessionId": "s1"}),
        (Obstacle(Lack.TURN, "s1"), SessionAlreadyRunning, {"sessionId": "s1"}),
        (Obstacle(Lack.STRANGER), SessionAlreadyRunning, None),
        (Obstacle(Lack.SERVER), TooManySessions, {"maxSessions": 8}),
        (Obstacle(Lack.PROVIDER), TooManySessions, {"provider": "codex", "maxPerProvider": 1}),
    ],
)
def test_who_does_not_want_to_wait_is_told_why(
    obstacle: Obstacle, kind: type[Exception], details: object
) -> None:
    """With the sentence that is the reason of those who do, and what a program can use."""
    error = refusal(obstacle, Taker("w", "codex", "/a"), Slots(server=8, providers={"codex": 1}))
    assert type(error) is kind
    assert error.details == details
    assert str(error).endswith(".")


# Laws


@given(AT_WORK, LINES, SLOTS, CLOSED)
def test_never_over_a_limit(
    at_work: list[Taker], waiting: list[Waiting], slots: Slots, closed: set[str]
) -> None:
    """Whoever goes to work found a slot of each kind free, and no stranger in his directory."""
    came = turns(at_work, waiting, slots, closed)
    known = {each.taker.session_id: each.taker for each in waiting}
    inside = list(at_work)
    for name in came.started:
        assert not any(is_full(inside, known[name], slots).values())
        assert known[name].project_dir not in closed
        inside.append(known[name])


@given(AT_WORK, LINES, SLOTS, CLOSED)
def test_who_waits_lacks_what_is_said(
    at_work: list[Taker], waiting: list[Waiting], slots: Slots, closed: set[str]
) -> None:
    """Everybody goes to work or is told why not, and that is so when all is done."""
    came = turns(at_work, waiting, slots, closed)
    known = {each.taker.session_id: each for each in waiting}
    order = [each.taker.session_id for each in in_line(waiting)]
    assert sorted([*came.started, *came.obstacles]) == sorted(order)
    inside = [*at_work, *(known[each].taker for each in came.started)]
    for name, obstacle in came.obstacles.items():
        taker = known[name].taker
        if obstacle.lack is Lack.TURN:
            first = known[str(obstacle.other)]
            assert first.rank < known[name].rank
            assert first.taker.project_dir == taker.project_dir
            assert came.obstacles[str(obstacle.other)].lack in {Lack.PROVIDER, Lack.SERVER}
        elif obstacle.lack is Lack.STRANGER:
            assert taker.project_dir in closed
        else:
            assert is_full(inside, taker, slots)[obstacle.lack]


@given(AT_WORK, LINES, SLOTS, CLOSED)
def test_nobody_is_overtaken_who_could_have_gone(
    at_work: list[Taker], waiting: list[Waiting], slots: Slots, closed: set[str]
) -> None:
    """Of two in the line the one behind goes first only where the one before could not go then."""
    came = turns(at_work, waiting, slots, closed)
    inside = list(at_work)
    for each in in_line(waiting):
        name = each.taker.session_id
        if name in came.started:
            inside.append(each.taker)
            continue
        if came.obstacles[name].lack is Lack.TURN:
            continue  # who has the turn before it could not go either, which is seen at his place
        full = is_full(inside, each.taker, slots)
        assert any(full.values()) or each.taker.project_dir in closed


@given(AT_WORK, LINES, SLOTS, CLOSED)
def test_who_stands_behind_changes_nothing(
    at_work: list[Taker], waiting: list[Waiting], slots: Slots, closed: set[str]
) -> None:
    """The head of a line has the same turns whoever joins it, in whatever order all are named."""
    ordered = in_line(waiting)
    whole = turns(at_work, reversed(ordered), slots, closed)
    for count in range(len(ordered)):
        head = {each.taker.session_id for each in ordered[:count]}
        part = turns(at_work, ordered[:count], slots, closed)
        assert list(part.started) == [each for each in whole.started if each in head]
        assert part.obstacles == {n: o for n, o in whole.obstacles.items() if n in head}


@attrs.define
class World:
    """
    A server on which sessions come and go, at the will of an adversary.

    :ivar left: By session at work: in how many rounds it will have ended.
    """

    slots: Slots
    waiting: list[Waiting]
    at_work: dict[str, Taker] = attrs.field(factory=dict)
    left: dict[str, int] = attrs.field(factory=dict)

    def give_turns(self, rounds: int) -> None:
        """Those whose turn it is go to work, for so many rounds."""
        came = turns(self.at_work.values(), self.waiting, self.slots)
        for each in self.waiting:
            if each.taker.session_id in came.started:
                self.at_work[each.taker.session_id] = each.taker
                self.left[each.taker.session_id] = rounds
        self.waiting = [w for w in self.waiting if w.taker.session_id not in came.started]

    def pass_round(self, rounds: Iterable[int]) -> None:
        """Sessions end one after the other, and each end gives turns."""
        lasting = iter(rounds)
        for name in list(self.at_work):
            self.left[name] -= 1
            if not self.left[name]:
                del self.at_work[name], self.left[name]
                self.give_turns(next(lasting, 1))


def test_who_wants_two_scarce_things_gets_both() -> None:
    """Where one is free whenever the other is not, as long as others come for each of them."""
    world = World(Slots(server=9, providers={"codex": 1}), [])
    world.at_work = {"t": Taker("t", "codex", "/q"), "u": Taker("u", "claude", "/p")}
    world.left = {"t": 2, "u": 1}
    world.waiting = line(("codex", "/p"))
    for number in range(1, 20):
        for kind in (("claude", "/p"), ("codex", "/q")):
            name = f"{kind[0]}{number}"
            world.waiting.append(Waiting(Taker(name, *kind), 0, number))
        world.pass_round([2, 2])
        if "w0" in world.at_work:
            return
    raise AssertionError("it waits for ever")


LONGEST = 3
ARRIVALS = st.lists(st.lists(KINDS, max_size=3), min_size=1, max_size=8)


@given(
    SLOTS,
    st.lists(KINDS, min_size=1, max_size=5),
    st.lists(KINDS, max_size=6),
    ARRIVALS,
    st.lists(st.integers(1, LONGEST), min_size=4, max_size=4),
)
def test_nobody_waits_for_ever(
    slots: Slots,
    first: list[tuple[str, str]],
    busy: list[tuple[str, str]],
    arrivals: list[list[tuple[str, str]]],
    lasting: list[int],
) -> None:
    """Among equals each goes to work in the end, whoever else comes, as long as sessions end."""
    world = World(slots, [])
    number = 0
    for kind in [*busy, *first]:
        world.waiting.append(Waiting(Taker(f"n{number}", *kind), 0, number))
        number += 1
    world.give_turns(LONGEST)
    wanted = {each.taker.session_id for each in world.waiting}
    # One after the other waits for its directory and then for its provider, at the longest.
    for passed in range((len(wanted) + 1) * 2 * (LONGEST + 1)):
        if not wanted & {each.taker.session_id for each in world.waiting}:
            return
        for kind in arrivals[passed % len(arrivals)]:
            world.waiting.append(Waiting(Taker(f"n{number}", *kind), 0, number))
            number += 1
        world.give_turns(lasting[passed % len(lasting)])
        world.pass_round(lasting)
    raise AssertionError(f"{world.waiting[0]} waits for ever")
