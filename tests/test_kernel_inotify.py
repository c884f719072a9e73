"""Tests of the kernel's notices."""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
import pytest_twisted
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet import reactor
from twisted.internet.interfaces import IReadDescriptor
from zope.interface.verify import verifyObject

from loki_twisted.kernel import inotify
from loki_twisted.kernel.inotify import Inotify, Notice, notices_from
from tests.fakes_state import logged_failures, until

EVERYTHING = (
    inotify.IN_CREATE
    | inotify.IN_MODIFY
    | inotify.IN_DELETE
    | inotify.IN_MOVED_FROM
    | inotify.IN_MOVED_TO
    | inotify.IN_DELETE_SELF
)


@given(
    st.lists(
        st.tuples(
            st.integers(-1, 2**31 - 1),
            st.integers(0, 2**32 - 1),
            st.integers(0, 2**32 - 1),
            st.binary(max_size=300).filter(lambda name: b"\0" not in name),
            st.integers(0, 20),
        )
    )
)
def test_notices_are_cut_as_the_kernel_packs_them(
    packed: list[tuple[int, int, int, bytes, int]],
) -> None:
    """Whatever notices are packed into one read, with any padding, come out as they were."""
    data = b""
    for wd, mask, cookie, name, padding in packed:
        padded = name + b"\0" * padding
        data += struct.pack("iIII", wd, mask, cookie, len(padded)) + padded
    assert list(notices_from(data)) == [
        Notice(wd, mask, cookie, name) for wd, mask, cookie, name, _ in packed
    ]


class Watch:
    """A directory, and what is noticed of it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.notices: list[Notice] = []
        self.instances: list[Inotify] = []

    def open(self, received: Callable[[Sequence[Notice]], None] | None = None) -> Inotify:
        """An instance on the real reactor."""
        self.instances.append(Inotify(reactor, received or self.notices.extend))
        return self.instances[-1]


@contextmanager
def refused(number: int) -> Iterator[None]:
    """An error with this number is raised."""
    with pytest.raises(OSError, match=os.strerror(number)) as raised:
        yield
    assert raised.value.errno == number


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Watch]:
    """A directory to watch."""
    watch = Watch(tmp_path)
    yield watch
    for instance in watch.instances:
        instance.close()


def test_it_is_a_reader_of_the_reactor(watch: Watch) -> None:
    """An instance can be read by any reactor that reads descriptors."""
    instance = watch.open()
    verifyObject(IReadDescriptor, instance)
    assert instance in reactor.getReaders()


def test_its_descriptor_is_not_inherited_and_does_not_block(watch: Watch) -> None:
    """Agents that are started do not get the descriptor, and reading never waits."""
    descriptor = watch.open().fileno()
    assert not os.get_inheritable(descriptor)
    assert not os.get_blocking(descriptor)


@pytest_twisted.ensureDeferred
async def test_notices_come_in_order_with_their_names(watch: Watch) -> None:
    """What happens in a watched directory is told in order, both halves of a rename."""
    wd = watch.open().add(str(watch.directory), EVERYTHING)
    (watch.directory / "new").touch()
    (watch.directory / "new").rename(watch.directory / "näme")
    (watch.directory / "näme").unlink()
    await until(lambda: len(watch.notices) == 4)
    assert [(n.wd, n.mask, n.name.decode()) for n in watch.notices] == [
        (wd, inotify.IN_CREATE, "new"),
        (wd, inotify.IN_MOVED_FROM, "new"),
        (wd, inotify.IN_MOVED_TO, "näme"),
        (wd, inotify.IN_DELETE, "näme"),
    ]
    assert watch.notices[1].cookie == watch.notices[2].cookie
    assert watch.notices[1].cookie != 0


def test_reading_too_often_is_no_error(watch: Watch) -> None:
    """A read that finds nothing tells nobody, and the next one works."""
    instance = watch.open()
    instance.doRead()
    instance.add(str(watch.directory), EVERYTHING)
    (watch.directory / "new").touch()
    instance.doRead()
    assert [notice.name for notice in watch.notices] == [b"new"]


@pytest.mark.promise("R18")
@pytest_twisted.ensureDeferred
async def test_one_deleted_directory_does_not_end_the_others(watch: Watch) -> None:
    """When a watched directory is deleted that is told, and the others go on."""
    instance = watch.open()
    doomed = watch.directory / "doomed"
    doomed.mkdir()
    wd = instance.add(str(doomed), EVERYTHING)
    instance.add(str(watch.directory), EVERYTHING)
    doomed.rmdir()
    (watch.directory / "after").touch()
    await until(lambda: any(n.name == b"after" for n in watch.notices))
    of_itself = [n.mask for n in watch.notices if n.wd == wd]
    assert of_itself == [inotify.IN_DELETE_SELF, inotify.IN_IGNORED]
    assert not instance.closed


@pytest_twisted.ensureDeferred
async def test_lost_notices_are_told(watch: Watch) -> None:
    """When more happens than the kernel keeps, the last notice says so."""
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    if limit > 65536:
        pytest.skip("this kernel keeps too many notices to lose any in a test")
    watch.open().add(str(watch.directory), EVERYTHING)
    name = str(watch.directory / "file")
    for _ in range(limit // 2 + 1):
        os.close(os.open(name, os.O_CREAT))
        os.unlink(name)
    await until(lambda: len(watch.notices) > limit)
    assert watch.notices[-1] == Notice(-1, inotify.IN_Q_OVERFLOW, 0, b"")
    assert len(watch.notices) == limit + 1


@pytest_twisted.ensureDeferred
async def test_a_receiver_that_fails_is_given_what_follows(watch: Watch) -> None:
    """What the receiver raises is logged, and the next notices come all the same."""
    heard = []

    def failing(notices: Sequence[Notice]) -> None:
        heard.append(notices)
        raise ValueError("no")

    with logged_failures() as failures:
        watch.open(failing).add(str(watch.directory), EVERYTHING)
        (watch.directory / "one").touch()
        await until(lambda: len(heard) == 1)
        (watch.directory / "two").touch()
        await until(lambda: len(heard) == 2)
    assert [event["log_failure"].type for event in failures] == [ValueError, ValueError]


@pytest_twisted.ensureDeferred
async def test_what_is_no_longer_watched_is_not_told(watch: Watch) -> None:
    """After a watch is removed there is one last notice, and removing it twice is no error."""
    instance = watch.open()
    wd = instance.add(str(watch.directory), EVERYTHING)
    instance.remove(wd)
    instance.remove(wd)
    (watch.directory / "unseen").touch()
    await until(lambda: bool(watch.notices))
    assert [n.mask for n in watch.notices] == [inotify.IN_IGNORED]


def test_errors_have_the_kernels_numbers(watch: Watch) -> None:
    """What cannot be watched is refused with the reason that the kernel gives."""
    (watch.directory / "file").touch()
    (watch.directory / "link").symlink_to(watch.directory)
    for name, number in (("nothing", errno.ENOENT), ("file", errno.ENOTDIR)):
        with refused(number):
            watch.open().add(str(watch.directory / name), inotify.IN_CREATE | inotify.IN_ONLYDIR)
    mask = inotify.IN_CREATE | inotify.IN_ONLYDIR | inotify.IN_DONT_FOLLOW
    with pytest.raises(NotADirectoryError):
        watch.open().add(str(watch.directory / "link"), mask)


def test_a_path_is_never_cut(watch: Watch) -> None:
    """A path with a NUL in it is refused, not taken for what stands before the NUL."""
    with refused(errno.EINVAL):
        watch.open().add(f"{watch.directory}\0/etc", inotify.IN_CREATE)


def test_the_same_directory_has_one_watch(watch: Watch) -> None:
    """Asking twice for the same directory, by any of its names, gives the same watch."""
    instance = watch.open()
    wd = instance.add(str(watch.directory), inotify.IN_CREATE)
    assert instance.add(os.fsencode(watch.directory.resolve()), EVERYTHING) == wd


def test_closing_ends_it(watch: Watch) -> None:
    """A closed instance leaves the reactor and its descriptor, and refuses new watches."""
    instance = watch.open()
    descriptor = instance.fileno()
    instance.close()
    instance.close()
    instance.remove(1)
    assert instance.closed
    assert instance not in reactor.getReaders()
    with refused(errno.EBADF):
        os.fstat(descriptor)
    with refused(errno.EBADF):
        instance.add(str(watch.directory), inotify.IN_CREATE)


def test_a_system_without_inotify_says_so(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the C library has no inotify there is an error with ENOSYS, not a crash."""
    monkeypatch.setattr(inotify.ctypes, "CDLL", lambda *_, **__: object())
    with refused(errno.ENOSYS):
        Inotify(reactor, watch.notices.extend)
