"""Tests of sharing one inotify instance."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import attrs
import pytest
import pytest_twisted

from loki_twisted.kernel.inotify import (
    IN_CREATE,
    IN_DELETE,
    IN_DELETE_SELF,
    IN_IGNORED,
    IN_Q_OVERFLOW,
    Inotify,
    Notice,
)
from loki_twisted.state.watches import Watches
from tests.fakes_state import opened, refusing, turn, until


@attrs.define(eq=False)
class Hearer:
    """Holds watches, and notes what is noticed."""

    heard: list[tuple[int, bytes]] = attrs.field(factory=list)

    def noticed(self, notice: Notice) -> None:
        self.heard.append((notice.mask, notice.name))


@pytest.fixture
def watches() -> Iterator[Watches]:
    """Watches on the real kernel."""
    watches = Watches(opened)
    yield watches
    watches.close()


@pytest_twisted.ensureDeferred
async def test_two_may_watch_the_same(watches: Watches, tmp_path: Path) -> None:
    """Each holder hears at least what it asked for, until it lets go."""
    first, second = Hearer(), Hearer()
    wd = watches.add(str(tmp_path), IN_CREATE, first)
    assert watches.add(str(tmp_path), IN_DELETE, second) == wd
    (tmp_path / "a").touch()
    (tmp_path / "a").unlink()
    await until(lambda: len(second.heard) == 2)
    assert first.heard == second.heard == [(IN_CREATE, b"a"), (IN_DELETE, b"a")]
    watches.remove(wd, first)
    watches.remove(wd, first)
    (tmp_path / "b").touch()
    await until(lambda: len(second.heard) == 3)
    assert len(first.heard) == 2
    watches.remove(wd, second)
    (tmp_path / "c").touch()
    await turn(0.01)
    assert len(second.heard) == 3


@pytest_twisted.ensureDeferred
async def test_asking_twice_is_asking_once(watches: Watches, tmp_path: Path) -> None:
    """A holder that asks for the same directory again hears everything once."""
    hearer = Hearer()
    for _ in range(2):
        watches.add(str(tmp_path), IN_CREATE, hearer)
    (tmp_path / "a").touch()
    await until(lambda: hearer.heard)
    assert hearer.heard == [(IN_CREATE, b"a")]


@pytest_twisted.ensureDeferred
async def test_a_watch_that_the_kernel_drops_is_forgotten(watches: Watches, tmp_path: Path) -> None:
    """Its holders hear that a watch has ended, and nothing of it is kept."""
    hearer = Hearer()
    (tmp_path / "below").mkdir()
    watches.add(str(tmp_path / "below"), IN_DELETE_SELF, hearer)
    (tmp_path / "below").rmdir()
    await until(lambda: len(hearer.heard) == 2)
    assert hearer.heard == [(IN_DELETE_SELF, b""), (IN_IGNORED, b"")]
    assert watches._holders == {}


def test_everybody_hears_of_lost_notices_once(watches: Watches, tmp_path: Path) -> None:
    """When notices were lost every holder is told, once."""
    first, second = Hearer(), Hearer()
    (tmp_path / "below").mkdir()
    for hearer in (first, second):
        watches.add(str(tmp_path), IN_CREATE, hearer)
        watches.add(str(tmp_path / "below"), IN_CREATE, hearer)
    watches._received([Notice(-1, IN_Q_OVERFLOW, 0, b"")])
    assert first.heard == second.heard == [(IN_Q_OVERFLOW, b"")]


def test_an_instance_is_asked_for_until_there_is_one(tmp_path: Path) -> None:
    """After a refusal the next who wants a watch tries again; closing may be repeated."""
    makers = [opened, refusing(errno.EMFILE)]

    def next_one(received: Callable[[Sequence[Notice]], None]) -> Inotify:
        return makers.pop()(received)

    watches = Watches(next_one)
    with pytest.raises(OSError, match="Too many open files"):
        watches.add(str(tmp_path), IN_CREATE, Hearer())
    assert watches.add(str(tmp_path), IN_CREATE, Hearer()) > 0
    watches.close()
    watches.close()
