"""What the stream needs of those who carry it: where the bytes of one subscriber go."""

from __future__ import annotations

from typing import NamedTuple

from zope.interface import Interface


class Progress(NamedTuple):
    """
    How far the bytes of a subscriber have come.

    :ivar written: How many bytes were written so far.
    :ivar held: How many of what was written the transport still holds because the
        client takes no more; 0 where a transport does not tell.
    :ivar unacknowledged: How many it has let go that have not arrived, as far as that is known;
        only where it holds some. A client that takes little by little may need minutes for these.
    """

    written: int
    held: int
    unacknowledged: int = 0

    @property
    def taken(self) -> int:
        """How many bytes the client has taken."""
        return self.written - self.held - self.unacknowledged


class ISink(Interface):
    """
    The response that carries one subscriber's stream.

    While it can take no more, it calls ``pauseProducing`` of the subscriber, and
    ``resumeProducing`` when it can again; either may happen inside :meth:`write`.
    """

    def write(data: bytes) -> None:
        """
        Send bytes.

        Give the same object to many sinks one after the other, if they shall have the same
        bytes: what is needed to send it is then made once.
        """

    def progress() -> Progress:
        """How far the bytes have come."""

    def finish() -> None:
        """End the response and its connection after what was written. Nothing may follow."""

    def abort() -> None:
        """Cut the connection now, and drop what the transport holds. Nothing may follow."""
