"""
Whose process is at the other end of a loopback connection.

On one machine the kernel knows the owner of both ends of a TCP connection. It is
asked through ``sock_diag(7)`` for exactly that socket (20 microseconds). Only where
that is not to be had at all, ``/proc/net/tcp`` is read: some milliseconds, because the
kernel walks its whole table for it. Anybody can make that table long, and hang up before we ask.

Only a socket that a process still holds has an owner. One that its process has
closed says uid 0 in both places, so the inode is looked at as well: it is 0 then.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import ipaddress
import os
import socket
import struct
import sys
from pathlib import Path
from typing import Final

SocketAddress = tuple[str, int]
"""An IP address as text, and a port."""

_NETLINK_SOCK_DIAG: Final = 4
_SOCK_DIAG_BY_FAMILY: Final = 20
_NLM_F_REQUEST: Final = 1
_NLMSG_ERROR: Final = 2
_ALL_STATES: Final = 0xFFFFFFFF
_NO_COOKIE: Final = b"\xff" * 8

_HEADER: Final = struct.Struct("=IHHII")  # struct nlmsghdr
_REQUEST: Final = struct.Struct("=BBBxI")  # struct inet_diag_req_v2 up to its id
_PORTS: Final = struct.Struct("!HH")
_ERROR: Final = struct.Struct("=i")  # struct nlmsgerr up to its message
_ANSWER: Final = struct.Struct("=4x48x12xII")  # struct inet_diag_msg: uid and inode

_CREDENTIALS: Final = struct.Struct("=iII")  # struct ucred: pid, uid, gid
_UNKNOWN: Final = 2**32 - 1

_LOCAL, _REMOTE, _OWNER, _INODE = 1, 2, 7, 9  # columns of /proc/net/tcp


def uid_of_peer(here: SocketAddress, peer: SocketAddress) -> int | None:
    """
    Find the user whose process is at the other end of a connection within this machine.

    :param here: Our end of the connection.
    :param peer: The other end, a loopback address.
    :returns: A user id; None where the kernel does not say, or the socket is closed.
    """
    if not sys.platform.startswith("linux"):
        return None
    with contextlib.suppress(OSError, ValueError):
        try:
            return _ask_sock_diag(here, peer)
        except OSError:
            return _read_proc(here, peer)
    return None


def is_our_user(here: SocketAddress, peer: SocketAddress) -> bool:
    """
    Tell whether the other end of a loopback connection is a process of our own user.

    :returns: False where that cannot be known on Linux. Elsewhere True: no
        other system has been taught to tell, and loopback is what there is.
    """
    if not sys.platform.startswith("linux"):
        return True
    return uid_of_peer(here, peer) == os.geteuid()


def uid_of_unix_peer(connection: object) -> int | None:
    """
    Find the user who has connected to a unix socket.

    :param connection: Our end, a socket.
    :returns: A user id; None where the kernel does not say.
    """
    if not isinstance(connection, socket.socket) or not hasattr(socket, "SO_PEERCRED"):
        return None
    try:
        said = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    except OSError:
        return None
    uid = _CREDENTIALS.unpack(said)[1]
    return None if uid == _UNKNOWN else int(uid)


def _ask_sock_diag(here: SocketAddress, peer: SocketAddress) -> int | None:
    """
    Ask for one socket.

    :returns: None if there is no such socket, or no process holds it.
    :raises OSError: if the kernel does not answer such questions.
    """
    answer = _said_of(here, peer)
    kind = _HEADER.unpack_from(answer)[1]
    if kind == _NLMSG_ERROR:
        [code] = _ERROR.unpack_from(answer, _HEADER.size)
        # The same is said where nothing is known of any TCP socket.
        if code == -errno.ENOENT and _knows_tcp():
            return None
        raise OSError(-code, os.strerror(-code))
    return _owner_in(answer)


@functools.cache
def _knows_tcp() -> bool:
    """Whether the kernel finds a socket of which we know that it is there. Asked once."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        answer = _said_of(("127.0.0.1", 1), listener.getsockname())
    return bool(_HEADER.unpack_from(answer)[1] == _SOCK_DIAG_BY_FAMILY)


def _said_of(here: SocketAddress, peer: SocketAddress) -> bytes:
    """Give what the kernel says of a socket, at least the head of a message."""
    family = _family(peer)
    addresses = (socket.inet_pton(family, host).ljust(16, b"\0") for host, _ in (peer, here))
    body = b"".join(
        (
            _REQUEST.pack(family, socket.IPPROTO_TCP, 0, _ALL_STATES),
            _PORTS.pack(peer[1], here[1]),
            *addresses,
            bytes(4),  # any interface
            _NO_COOKIE,
        )
    )
    head = _HEADER.pack(_HEADER.size + len(body), _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, _NETLINK_SOCK_DIAG) as kernel:
        kernel.setblocking(False)  # it has answered when sendto() returns
        kernel.sendto(head + body, (0, 0))
        answer = kernel.recv(4096)
    if len(answer) < _HEADER.size + _ERROR.size:
        raise OSError(errno.EPROTO, os.strerror(errno.EPROTO))
    return answer


def _owner_in(answer: bytes) -> int | None:
    is_of_a_socket = _HEADER.unpack_from(answer)[1] == _SOCK_DIAG_BY_FAMILY
    if not is_of_a_socket or len(answer) < _HEADER.size + _ANSWER.size:
        raise OSError(errno.EPROTO, os.strerror(errno.EPROTO))
    uid, inode = _ANSWER.unpack_from(answer, _HEADER.size)
    return int(uid) if inode else None


def _read_proc(here: SocketAddress, peer: SocketAddress) -> int | None:
    table = "/proc/net/tcp6" if _family(peer) == socket.AF_INET6 else "/proc/net/tcp"
    return _owner_in_table(Path(table).read_text("ascii"), here, peer)


def _owner_in_table(table: str, here: SocketAddress, peer: SocketAddress) -> int | None:
    wanted = [_in_hex(peer), _in_hex(here)]
    for line in table.splitlines()[1:]:
        columns = line.split()
        if columns[_LOCAL : _REMOTE + 1] == wanted and columns[_INODE] != "0":
            return int(columns[_OWNER])
    return None


def _in_hex(address: SocketAddress) -> str:
    # The kernel prints the words of an address as the machine holds them.
    packed = socket.inet_pton(_family(address), address[0])
    words = struct.unpack(f"={len(packed) // 4}I", packed)
    return "".join(f"{word:08X}" for word in words) + f":{address[1]:04X}"


def _family(address: SocketAddress) -> socket.AddressFamily:
    is_short = isinstance(ipaddress.ip_address(address[0]), ipaddress.IPv4Address)
    return socket.AF_INET if is_short else socket.AF_INET6
