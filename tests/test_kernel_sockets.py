"""What the kernel holds for a socket, with real ones."""

from __future__ import annotations

import os
import socket

import pytest

from loki_twisted.kernel.sockets import unacknowledged_bytes


def test_what_the_other_end_has_no_room_for() -> None:
    """It counts until the other end takes it."""
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        other.connect(listener.getsockname())
        ours, _ = listener.accept()
        with ours:
            assert unacknowledged_bytes(ours.fileno()) == 0
            ours.setblocking(False)
            written = ours.send(b"x" * 100_000)
            before = unacknowledged_bytes(ours.fileno())
            assert 0 < before <= written

            assert len(other.recv(written // 2, socket.MSG_WAITALL)) == written // 2

            assert unacknowledged_bytes(ours.fileno()) < before


def test_what_is_no_socket() -> None:
    """Of a file it cannot be told."""
    with open(os.devnull, "rb") as file, pytest.raises(OSError, match="ioctl"):
        unacknowledged_bytes(file.fileno())
