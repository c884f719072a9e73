"""Tests of watching a tree: whatever happens on disk, what is known comes to be true."""

from __future__ import annotations

import errno
import os
import random
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.task import Clock

from loki_twisted.kernel.inotify import Inotify, Notice
from loki_twisted.state import survey as survey_module
from loki_twisted.state import tree as tree_module
from loki_twisted.state.entries import Change, ChangeKind, Entry, entry_of
from loki_twisted.state.tree import FULL_LOOK_PERIOD, POLL_PERIOD, TreeWatcher
from loki_twisted.state.watches import Holder, InotifyFactory, Watches
from tests.fakes_state import Limited, logged_failures, nothing_fails, opened, refusing, turn, until


class Model:
    """What somebody knows of a tree who only hears of its changes."""

    def __init__(self) -> None:
        self.paths: dict[str, bool] = {}
        self.heard: list[Change] = []
        self.wrong: list[Change] = []

    def take(self, changes: Sequence[Change]) -> None:
        assert changes
        for change in changes:
            self.heard.append(change)
            if (change.kind is ChangeKind.ADDED) == (change.path in self.paths):
                self.wrong.append(change)
            if change.kind is ChangeKind.REMOVED:
                self.paths.pop(change.path, None)
            else:
                self.paths[change.path] = change.is_directory


class Grove:
    """A place for a tree, and those who watch it."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.root = base / ".loki"
        self.model = Model()
        self.watches = Watches(opened)
        self.watchers: list[TreeWatcher] = []

    def watch(
        self,
        clock: Clock | None = None,
        open_inotify: InotifyFactory | None = None,
        excluded: Callable[[str], bool] = lambda _: False,
    ) -> TreeWatcher:
        """A watcher of the tree."""
        if open_inotify is not None:
            self.watches = Watches(open_inotify)
        watcher = TreeWatcher(
            reactor if clock is None else clock,
            str(self.root),
            self.watches,
            self.model.take,
            excluded=excluded,
        )
        self.watchers.append(watcher)
        return watcher

    def write(self, path: str, text: str = "x") -> None:
        """Write a file, and make the directories on the way to it."""
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text)

    def known(self) -> dict[str, Entry | None]:
        """All that the first watcher knows, as far as it told so."""
        entries = self.watchers[0].entries
        return {
            path: entries(os.path.dirname(path)).get(os.path.basename(path))
            for path in self.model.paths
        }

    def on_disk(self) -> dict[str, Entry]:
        """All there is."""
        return {
            os.path.relpath(os.path.join(directory, name), self.root): entry_of(
                os.lstat(os.path.join(directory, name))
            )
            for directory, directories, files in os.walk(self.root)
            for name in directories + files
        }

    def is_true(self) -> bool:
        """Whether what is known is what there is."""
        return self.known() == self.on_disk()

    def close(self) -> None:
        """End everything."""
        for watcher in self.watchers:
            watcher.stop()
        assert self.watches._holders == {}
        self.watches.close()


@pytest.fixture
def grove(tmp_path: Path) -> Iterator[Grove]:
    """A place for a tree."""
    grove = Grove(tmp_path)
    with nothing_fails():
        yield grove
    grove.close()


def scribble(root: Path, directories: list[str], rng: random.Random) -> None:
    """Do one thing to a tree that a program might do."""
    where = rng.choice(directories)
    match rng.choices(range(6), (25, 30, 10, 12, 6, 17))[0]:
        case 0:
            os.makedirs(f"{where}/d{rng.randint(0, 6)}/e{rng.randint(0, 3)}", exist_ok=True)
        case 1:
            with open(f"{where}/f{rng.randint(0, 9)}", "a") as file:
                file.write("x" * rng.randint(1, 9))
        case 2:
            path = f"{where}/f{rng.randint(0, 9)}"
            Path(path + ".tmp").write_text("new")
            os.replace(path + ".tmp", path)
        case 3 if where != str(root):
            os.rename(where, f"{rng.choice(directories)}/m{rng.randint(0, 5)}")
        case 4 if where != str(root):
            shutil.rmtree(where)
        case 5:
            for name in os.listdir(where)[:1]:
                os.unlink(f"{where}/{name}")


@pytest.mark.promise("R18")
@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest_twisted.ensureDeferred
async def test_it_converges(grove: Grove, seed: int, is_full: bool) -> None:
    """After 1,000 random operations everything that is there is known and watched."""
    grove.root.mkdir()
    rng = random.Random(seed)
    await grove.watch().look()
    for step in range(20_000 if is_full else 1000):
        if step % 20 == 0:
            directories = [directory for directory, _, _ in os.walk(grove.root)]
        try:
            scribble(grove.root, directories, rng)
        except OSError:
            continue  # a directory into itself, one that is gone: so it is with programs
        if rng.random() < 0.1:
            await turn(rng.choice((0, 0.001, 0.02)))
    # What is known last may be watched a slice later.
    await until(
        lambda: (
            grove.is_true() and len(grove.watches._holders) == 2 + sum(grove.model.paths.values())
        )
    )
    assert grove.model.wrong == []


@pytest.mark.promise("R18")
@pytest_twisted.ensureDeferred
async def test_lost_notices_lose_nothing(grove: Grove) -> None:
    """When more happens than the kernel keeps, what happened last is known all the same."""
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    if limit > 65536:
        pytest.skip("this kernel keeps too many notices to lose any in a test")
    grove.write("a/file")
    grove.write("b/file")
    await grove.watch().look()
    busy = str(grove.root / "a/busy")
    for _ in range(limit // 2 + 1):
        os.close(os.open(busy, os.O_CREAT))
        os.unlink(busy)
    grove.write("b/late/and/deep/file")
    await until(grove.is_true)
    assert "b/late/and/deep/file" in grove.model.paths
    grove.write("b/late/and/deep/later")
    await until(lambda: "b/late/and/deep/later" in grove.model.paths)


@pytest_twisted.ensureDeferred
async def test_a_deep_directory_is_seen_at_once(grove: Grove) -> None:
    """Directories made in one go are known with what was put into the deepest of them."""
    grove.root.mkdir()
    await grove.watch().look()
    grove.write("p/q/r/file")
    await until(lambda: "p/q/r/file" in grove.model.paths)


@pytest_twisted.ensureDeferred
async def test_a_directory_that_is_moved_in_brings_what_is_in_it(grove: Grove) -> None:
    """A tree moved in from elsewhere is known whole, and watched under its new name."""
    grove.root.mkdir()
    (grove.base / "elsewhere/below").mkdir(parents=True)
    (grove.base / "elsewhere/below/file").touch()
    await grove.watch().look()
    (grove.base / "elsewhere").rename(grove.root / "here")
    await until(lambda: "here/below/file" in grove.model.paths)
    (grove.root / "here").rename(grove.root / "there")
    grove.write("there/below/new")
    await until(grove.is_true)
    grove.write("there/below/newer")
    await until(lambda: "there/below/newer" in grove.model.paths)
    assert grove.model.wrong == []


@pytest_twisted.ensureDeferred
async def test_a_root_that_comes_later_is_found(grove: Grove) -> None:
    """A root that does not exist yet, nor the directories above it, is found when it comes."""
    grove.root = grove.base / "to/be/made/.loki"
    await grove.watch().look()
    (grove.base / "to").mkdir()
    await turn(0.03)
    (grove.base / "to/be/made").mkdir(parents=True)
    await turn(0.03)
    grove.write("state.json")
    await until(lambda: "state.json" in grove.model.paths)
    await until(lambda: len(grove.watches._holders) == 2)  # it and the one above it


@pytest_twisted.ensureDeferred
async def test_a_root_that_ends_in_silence_is_missed(grove: Grove) -> None:
    """A root that is replaced while a file that was in it is held open is found anew."""
    grove.write("a.log")
    await grove.watch().look()
    with (grove.root / "a.log").open():
        os.unlink(grove.root / "a.log")
        await until(grove.is_true)
        grove.root.rmdir()  # the kernel says nothing of this: the open file keeps it
        await until(lambda: not grove.watchers[0]._survey.has_root())
        grove.write("later")
        await until(lambda: "later" in grove.model.paths)


class Sudden(Watches):
    """Watches with which something happens just before one is placed."""

    def __init__(self, happen: Callable[[str], None]) -> None:
        super().__init__(opened)
        self.happen = happen

    def add(self, path: str, mask: int, holder: Holder) -> int:
        self.happen(path)
        return super().add(path, mask, holder)


@pytest.mark.parametrize("depth", [".loki", "a/.loki", "a/b/c/.loki"])
@pytest_twisted.ensureDeferred
async def test_a_root_that_comes_just_before_it_is_awaited_is_found(
    grove: Grove, depth: str
) -> None:
    """A root made in the moment between being missed and being awaited is found."""
    grove.root = grove.base / depth

    def happen(path: str) -> None:
        if path == str(grove.base):
            grove.root.mkdir(parents=True, exist_ok=True)

    grove.watches = Sudden(happen)
    await grove.watch().look()
    grove.write("file")
    await until(lambda: "file" in grove.model.paths)


@pytest_twisted.ensureDeferred
async def test_what_happens_while_a_directory_is_listed_is_seen(
    grove: Grove, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file made just after its directory was listed for the first time is not missed."""
    grove.write("a/file")
    scandir = os.scandir

    @contextmanager
    def listed(descriptor: int) -> Iterator[Iterator[os.DirEntry[str]]]:
        with scandir(descriptor) as listing:
            entries = list(listing)
        if os.path.samestat(os.fstat(descriptor), os.stat(grove.root / "a")):
            grove.write("a/late")
        yield iter(entries)

    with monkeypatch.context() as patched:
        patched.setattr(os, "scandir", listed)
        await grove.watch().look()
    await until(lambda: "a/late" in grove.model.paths)


@pytest.mark.promise("R18")
@pytest_twisted.ensureDeferred
async def test_a_root_may_go_and_come_back(grove: Grove) -> None:
    """What was in a deleted root is reported as removed, and its successor is watched."""
    grove.write("a/file")
    await grove.watch().look()
    for _ in range(3):
        shutil.rmtree(grove.root)
        await until(lambda: grove.model.paths == {})
        grove.write("a/file")
        await until(lambda: "a/file" in grove.model.paths)
    assert grove.model.wrong == []


@pytest_twisted.ensureDeferred
async def test_a_root_may_be_replaced(grove: Grove) -> None:
    """When another directory takes the root's place, that one is known and watched."""
    grove.write("old/file")
    grove.write("both", "one")
    await grove.watch().look()
    grove.root.rename(grove.base / "away")
    grove.write("new/file")
    grove.write("both", "three")
    await until(grove.is_true)
    (grove.base / "away/old/unseen").touch()
    grove.write("new/seen")
    await until(lambda: "new/seen" in grove.model.paths)
    assert grove.is_true()


@pytest_twisted.ensureDeferred
async def test_symbolic_links_are_not_followed(grove: Grove) -> None:
    """A link is an entry without content, wherever it leads."""
    outside = grove.base / "outside"
    (outside / "below").mkdir(parents=True)
    grove.root.mkdir()
    (grove.root / "link").symlink_to(outside)
    (grove.root / "loop").symlink_to(grove.root)
    await grove.watch().look()
    (outside / "below/file").touch()
    grove.write("file")
    await until(lambda: "file" in grove.model.paths)
    assert grove.model.paths == {"link": False, "loop": False, "file": False}


@pytest_twisted.ensureDeferred
async def test_a_root_that_is_a_link_is_told(grove: Grove) -> None:
    """A root that is a symbolic link is not followed, and that is a problem that is told."""
    (grove.base / "outside").mkdir()
    (grove.base / "outside/file").touch()
    grove.root.symlink_to(grove.base / "outside")
    watcher = grove.watch()
    await watcher.look()
    assert grove.model.paths == {}
    assert watcher.problems() == [f"{grove.root} is a symbolic link, and those are not followed."]


@pytest_twisted.ensureDeferred
async def test_what_is_excluded_is_not_touched(grove: Grove) -> None:
    """An excluded directory is neither listed nor watched, whenever it is made."""
    grove.write("server/log.db")
    grove.write("a/file")
    await grove.watch(excluded=frozenset({"server", "a/private"}).__contains__).look()
    grove.write("a/private/below/file")
    grove.write("server/new")
    grove.write("a/other")
    await until(lambda: "a/other" in grove.model.paths)
    assert sorted(grove.model.paths) == ["a", "a/file", "a/other"]
    assert len(grove.watches._holders) == 3  # the tree, the directory in it, the one above it


@pytest_twisted.ensureDeferred
async def test_a_write_that_leaves_no_trace_in_the_times_is_reported(grove: Grove) -> None:
    """A file rewritten with the same size and old times is reported as changed."""
    grove.write("file", "one")
    await grove.watch().look()
    before = os.stat(grove.root / "file")
    grove.write("file", "two")
    os.utime(grove.root / "file", ns=(before.st_atime_ns, before.st_mtime_ns))
    await until(lambda: Change(ChangeKind.CHANGED, "file", False) in grove.model.heard)


@pytest_twisted.ensureDeferred
async def test_coarse_times_hide_no_write(grove: Grove, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the times of files do not tell two writes apart, a notice does."""

    def coarse(status: os.stat_result) -> Entry:
        return entry_of(status)._replace(modified_ns=0, changed_ns=0)

    monkeypatch.setattr(survey_module, "entry_of", coarse)
    grove.write("file", "one")
    await grove.watch().look()
    grove.write("file", "two")
    await until(lambda: Change(ChangeKind.CHANGED, "file", False) in grove.model.heard)


def test_a_refusing_kernel_is_asked_once_a_look(grove: Grove) -> None:
    """When there are no watches left, they are asked for once in each full look, not for each."""
    asked: list[None] = []

    def refuse(received: Callable[[Sequence[Notice]], None]) -> Inotify:
        asked.append(None)
        return refusing(errno.EMFILE)(received)

    for number in range(50):
        grove.write(f"d{number}/file")
    clock = Clock()
    grove.watch(clock, refuse).look()
    clock.advance(0)
    assert len(asked) == 1
    clock.advance(POLL_PERIOD)
    clock.advance(0)
    assert len(asked) == 2


@pytest_twisted.ensureDeferred
async def test_names_need_not_be_utf8(grove: Grove) -> None:
    """A name with any bytes is reported as the file system's functions take it."""
    grove.root.mkdir()
    await grove.watch().look()
    name = os.fsdecode(b"\xff\xfe.json")
    (grove.root / name).touch()
    await until(lambda: name in grove.model.paths)


@pytest.mark.promise("R19")
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EMFILE, errno.ENOSYS])
def test_without_notices_it_polls(grove: Grove, number: int) -> None:
    """Where inotify cannot be had, changes are found within a second, and that is told."""
    clock = Clock()
    grove.write("a/file")
    watcher = grove.watch(clock, refusing(number))
    watcher.look()
    clock.advance(0)
    assert grove.is_true()
    assert "is looked at every 1 s, because" in watcher.problems()[0]
    for turn_ in range(20):
        grove.write(f"a/b{turn_ % 3}/file{turn_}")
        if turn_ % 4 == 3:
            shutil.rmtree(grove.root / f"a/b{(turn_ + 1) % 3}")
        clock.advance(POLL_PERIOD)
        clock.advance(0)
        assert grove.is_true()
    assert grove.model.wrong == []


def test_polling_sees_what_keeps_its_size_and_time(grove: Grove) -> None:
    """Polling finds a rewritten file even if size and modification time are as before."""
    clock = Clock()
    grove.write("file", "one")
    grove.watch(clock, refusing(errno.ENOSPC)).look()
    clock.advance(0)
    before = os.stat(grove.root / "file")
    grove.write("file", "two")
    os.utime(grove.root / "file", ns=(before.st_atime_ns, before.st_mtime_ns))
    clock.advance(POLL_PERIOD)
    clock.advance(0)
    assert grove.model.heard[-1] == Change(ChangeKind.CHANGED, "file", False)


@pytest.mark.promise("R19")
@pytest_twisted.ensureDeferred
async def test_notices_are_taken_up_again(grove: Grove) -> None:
    """When inotify can be had again, the next look takes it, and the problem is over."""
    available: list[InotifyFactory] = [refusing(errno.EMFILE)]
    grove.write("a/file")

    def newest(received: Callable[[Sequence[Notice]], None]) -> Inotify:
        return available[-1](received)

    watcher = grove.watch(open_inotify=newest)
    await watcher.look()
    assert len(watcher.problems()) == 1
    available.append(opened)
    await watcher.look()
    assert watcher.problems() == []
    grove.write("a/new")
    await until(grove.is_true)


@pytest.mark.promise("R19")
@pytest_twisted.ensureDeferred
async def test_with_too_few_watches_the_rest_is_polled(
    grove: Grove, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When watches run out in the middle, all is known, and more watches are taken later."""
    monkeypatch.setattr(tree_module, "POLL_PERIOD", 0.05)
    limited: list[Limited] = []

    def few(received: Callable[..., None]) -> Limited:
        limited.append(Limited(received, 3))
        return limited[-1]

    for number in range(6):
        grove.write(f"d{number}/e/file")
    watcher = grove.watch(open_inotify=few)
    await watcher.look()
    assert grove.is_true()
    assert "max_user_watches" in watcher.problems()[0]
    for number in range(6):
        grove.write(f"d{number}/e/new")
    await until(grove.is_true)
    limited[0].limit = 100
    await watcher.look()
    assert watcher.problems() == []
    assert len(grove.watches._holders) == 14


@pytest_twisted.ensureDeferred
async def test_running_out_of_watches_later_is_noticed(
    grove: Grove, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A directory that comes when no watches are left is polled from then on."""
    monkeypatch.setattr(tree_module, "POLL_PERIOD", 0.05)
    grove.write("a/file")
    watcher = grove.watch(open_inotify=lambda received: Limited(received, 3))
    await watcher.look()
    assert watcher.problems() == []
    grove.write("b/file")
    await until(watcher.problems)
    grove.write("b/new")
    await until(grove.is_true)


def test_a_shared_file_system_is_polled(grove: Grove, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a file system that others may write to, there are looks without notices."""
    monkeypatch.setattr(tree_module, "shared_file_system", lambda _: "nfs4")
    clock = Clock()
    grove.root.mkdir()
    watcher = grove.watch(clock)
    watcher.look()
    clock.advance(0)
    assert "(nfs4)" in watcher.problems()[0]
    grove.write("file")
    clock.advance(POLL_PERIOD)
    clock.advance(0)
    assert grove.is_true()


def test_there_is_a_full_look_now_and_then(grove: Grove) -> None:
    """Even a change without any notice is found at the next full look."""
    clock = Clock()
    grove.root.mkdir()
    watcher = grove.watch(clock, lambda _: opened(lambda notices: None))
    watcher.look()
    clock.advance(0)
    assert watcher.problems() == []
    grove.write("a/file")
    clock.advance(FULL_LOOK_PERIOD - 1)
    clock.advance(0)
    assert grove.model.paths == {}
    clock.advance(1)
    clock.advance(0)
    assert grove.is_true()


class Busy(Clock):
    """A clock on which a millisecond passes whenever somebody looks at it."""

    turns = 0

    def seconds(self) -> float:
        self.rightNow += 0.001
        return self.rightNow

    def callLater(self, delay: float, *what: Any, **more: Any) -> Any:  # noqa: N802  # Twisted's name
        self.turns += delay == 0
        return super().callLater(delay, *what, **more)


def test_a_look_is_done_in_slices(grove: Grove) -> None:
    """A big tree is looked at in many turns of the reactor, also one big directory."""
    for number in range(30):
        grove.write(f"d{number}/file")
    for number in range(1000):
        grove.write(f"big/file{number}")
    clock = Busy()
    done = grove.watch(clock, refusing(errno.ENOSYS)).look()
    clock.advance(0)
    assert done.called
    assert grove.is_true()
    # At least a millisecond for each directory, and for each 128 entries of the big one twice.
    assert clock.turns >= (30 + 2 * 1000 // 128) // 10


@pytest.mark.promise("R27")
def test_changes_are_reported_in_slices(grove: Grove) -> None:
    """However many files come or go at once, and however fast that is seen, some are told first."""
    clock, sizes = Clock(), []
    watcher = grove.watch(clock, refusing(errno.ENOSYS))
    watcher._received = lambda changes: sizes.append(len(changes))
    grove.write("stays")
    for number in range(3_000):
        grove.write(f"big/file{number}")
    watcher.look()
    clock.advance(0)
    assert sum(sizes) == 3_002
    for number in range(3_000):
        (grove.root / f"big/file{number}").unlink()
    watcher.look()
    clock.advance(0)
    assert sum(sizes) == 6_002
    for number in range(3_000):
        grove.write(f"big/file{number}")
    watcher.look()
    clock.advance(0)
    shutil.rmtree(grove.root / "big")
    watcher.look()
    clock.advance(0)
    assert sum(sizes) == 6_002 + 3_000 + 3_001
    assert max(sizes) <= 1_200


@pytest_twisted.ensureDeferred
async def test_a_directory_that_cannot_be_listed_keeps_what_is_known(
    grove: Grove, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A directory that cannot be listed is told as a problem, and not taken for an empty one."""
    grove.write("a/file")
    watcher = grove.watch()
    await watcher.look()

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    with monkeypatch.context() as patched:
        patched.setattr(os, "scandir", refuse)
        await watcher.look()
    assert grove.is_true()
    assert watcher.problems() == [f"{grove.root} cannot be listed: Permission denied."]
    await watcher.look()
    assert watcher.problems() == []


@pytest_twisted.ensureDeferred
async def test_looks_do_not_overlap(grove: Grove) -> None:
    """Everybody who asks for a look is answered after one that began later."""
    grove.write("a/file")
    watcher = grove.watch()
    first = watcher.look()
    await turn()
    grove.write("a/new")
    second = watcher.look()
    await second
    assert first.called
    assert grove.is_true()


@pytest_twisted.ensureDeferred
async def test_after_the_end_nothing_is_reported(grove: Grove) -> None:
    """A stopped watcher gives its watches back, answers who waits, and reports nothing."""
    grove.write("a/file")
    watcher = grove.watch()
    await watcher.look()
    heard = len(grove.model.heard)
    grove.write("a/new")
    waiting = watcher.look()
    watcher.stop()
    watcher.stop()
    await waiting
    await watcher.look()
    grove.write("a/newer")
    await turn(0.03)
    assert len(grove.model.heard) == heard
    assert grove.watches._holders == {}


def test_a_receiver_that_fails_hears_of_what_follows(tmp_path: Path) -> None:
    """What the receiver raises is logged, and does not end the watching."""
    clock = Clock()
    (tmp_path / "file").touch()
    heard: list[str] = []

    def failing(changes: Sequence[Change]) -> None:
        heard.extend(change.path for change in changes)
        raise ValueError("no")

    with logged_failures() as failures:
        watcher = TreeWatcher(clock, str(tmp_path), Watches(refusing(errno.ENOSYS)), failing)
        watcher.look()
        clock.advance(0)
        (tmp_path / "new").touch()
        clock.advance(POLL_PERIOD)
        clock.advance(0)
        watcher.stop()
    assert heard == ["file", "new"]
    assert len(failures) == 2
