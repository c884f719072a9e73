"""What has become of bytes that were written to a connection."""

from __future__ import annotations

from twisted.internet.abstract import FileDescriptor

from loki_twisted.kernel.sockets import unacknowledged_bytes


def bottom_of(channel: object) -> FileDescriptor | None:
    """Find the transport that holds what the client has not taken, under TLS and other wrappers."""
    carrier = getattr(channel, "transport", None)
    while carrier is not None and not isinstance(carrier, FileDescriptor):
        carrier = getattr(carrier, "transport", None)
    return carrier


def held_by(bottom: FileDescriptor | None) -> int:
    """How many bytes a transport holds; 0 for one that does not tell, or is gone."""
    if bottom is None or not bottom.connected:
        return 0
    held = len(bottom.dataBuffer) - bottom.offset
    return held + bottom._tempDataLen  # noqa: SLF001  # the second half of its buffer


def held_below(bottom: FileDescriptor | None) -> int:
    """How many bytes the kernel holds beneath a transport, as far as it tells: a system call."""
    if bottom is None or not bottom.connected:
        return 0
    try:
        return unacknowledged_bytes(bottom.fileno())
    except OSError:
        return 0


def on_the_way(bottom: FileDescriptor | None) -> int:
    """How many bytes are held by a transport and, beneath it, by the kernel."""
    return held_by(bottom) + held_below(bottom)
