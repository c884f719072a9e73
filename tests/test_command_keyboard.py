"""Lines from a terminal."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import IReadDescriptor
from zope.interface.verify import verifyObject

from loki_twisted.command.keyboard import Keyboard, maybe_keyboard


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """A terminal: the end of who types, and the end of the program."""
    typist, program = os.openpty()
    yield typist, program
    assert reactor.getReaders() == [r for r in reactor.getReaders() if r.fileno() != program]
    for descriptor in (typist, program):
        try:
            os.close(descriptor)
        except OSError:
            assert descriptor == typist  # which a test closes itself


def test_it_is_a_reader(terminal: tuple[int, int]) -> None:
    """The reactor takes it for a thing to read from."""
    keyboard = Keyboard(reactor, terminal[1])

    assert verifyObject(IReadDescriptor, keyboard)
    assert keyboard.logPrefix() == "keyboard"


@pytest_twisted.ensureDeferred
async def test_lines_one_by_one(terminal: tuple[int, int]) -> None:
    """Each line is given without its end, in the order in which they were typed."""
    typist, program = terminal
    read_line = maybe_keyboard(reactor, program)
    assert read_line is not None
    os.write(typist, "hellö\n".encode())
    os.write(typist, b"world\n")

    assert await read_line() == "hellö"
    assert await read_line() == "world"


@pytest_twisted.ensureDeferred
async def test_giving_up(terminal: tuple[int, int]) -> None:
    """Who does not wait any longer leaves the line to the next who asks."""
    typist, program = terminal
    keyboard = Keyboard(reactor, program)
    waiting = keyboard.line()
    waiting.cancel()
    with pytest.raises(CancelledError):
        await waiting
    assert keyboard not in reactor.getReaders()
    os.write(typist, b"late\n")

    assert await keyboard.line() == "late"


@pytest_twisted.ensureDeferred
async def test_the_terminal_goes_away(terminal: tuple[int, int]) -> None:
    """A terminal that is closed says nothing, and does not keep the reactor busy."""
    typist, program = terminal
    keyboard = Keyboard(reactor, program)
    waiting = keyboard.line()
    os.close(typist)
    keyboard.doRead()

    assert not waiting.called
    assert keyboard not in reactor.getReaders()


def test_no_terminal() -> None:
    """A pipe is no keyboard, nor is a descriptor that is closed."""
    reader, writer = os.pipe()
    os.close(writer)
    assert maybe_keyboard(reactor, reader) is None
    os.close(reader)
    assert maybe_keyboard(reactor, reader) is None
