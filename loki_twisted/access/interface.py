"""What the room of access is to the others: scopes, callers, the keyring and the record."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Final

import attrs
from zope.interface import Attribute, Interface

Entry = Mapping[str, str | int | None]
"""One entry of the audit log, as the JSON object that it becomes. What is None is left out."""


class Scope(Enum):
    """
    What a token may be good for. None of them holds another.

    ``READ`` is to see what there is, ``WRITE`` to start, steer, answer and stop, ``ADMIN`` to
    remove what is on record.
    """

    READ = "read"
    WRITE = "write"
    ADMIN = "admin"


EVERY_SCOPE: Final = frozenset(Scope)


@attrs.frozen(slots=True)
class Caller:
    """
    Who sends a request.

    :ivar name: The name of a token, or ``local``.
    :ivar scopes: What may be done.
    :ivar digest: Of the token; None for who needs none.
    """

    name: str
    scopes: frozenset[Scope] = EVERY_SCOPE
    digest: bytes | None = attrs.field(default=None, repr=False)


LOCAL: Final = Caller("local")
"""Who comes from this machine, as our own user."""


class IKeyring(Interface):
    """The tokens that are good now."""

    asks: bool = Attribute(
        "Whether there is or was any token here, so that one which is shown has to be right."
    )

    def find(presented: bytes) -> Caller | None:
        """Tell whose a token is, or None if it is none of ours or has expired."""

    def stands(caller: Caller) -> bool:
        """Tell whether somebody who was let in would be let in again, and to the same."""


class IAudit(Interface):
    """The record of who did what. Writing to it never fails, or holds anything up."""

    def record(entry: Entry) -> None:
        """
        Keep an entry.

        When this returns it is in the file; or it waits for a disk that does not answer, or is
        lost, and that is told.
        """

    def problem() -> str | None:
        """Why entries are lost now, in a sentence, or None."""
