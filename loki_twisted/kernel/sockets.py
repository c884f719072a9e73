"""What the kernel holds for a socket."""

from __future__ import annotations

import array
import fcntl
import termios


def unacknowledged_bytes(descriptor: int) -> int:
    """
    How many bytes that were written to a socket have not arrived at the other end.

    Over a slow connection they may be megabytes, and minutes: a socket becomes writable only when
    a third of its buffer is free.

    :param descriptor: Of a stream socket.
    :raises OSError: if it is none, or the system does not tell.
    """
    count = array.array("i", [0])
    fcntl.ioctl(descriptor, termios.TIOCOUTQ, count)
    return count[0]
