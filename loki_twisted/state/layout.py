"""
A layout: what the files of a state directory mean.

There is more than one, because programs that keep a ``.loki/`` do not agree. Each is an
object without I/O; :class:`JoinedLayout` makes one of several. ``documented.py`` is one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import attrs
import msgspec
from zope.interface import Interface, implementer

from loki_twisted.model.events import Fact
from loki_twisted.state.interface import Sighting

_decode: Final = msgspec.json.Decoder().decode
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


class NotUnderstood(ValueError):
    """
    The bytes are not what the file should hold: perhaps it is being written.

    The message says in words what is wrong.
    """


class ILayout(Interface):
    """What files mean, by their paths relative to the state directory."""

    def rank(path: str) -> int | None:  # noqa: N805  # zope: no self
        """
        Whether a file says anything, and how early.

        :returns: None if it is not to be read. Of what is told together, the files of
            lower ranks are told first.
        """

    def sightings(path: str, content: bytes) -> Sequence[Sighting]:  # noqa: N805  # zope: no self
        """
        Say what a file means. Called in other threads than the reactor's.

        :param path: One that has a rank.
        :param content: What the file holds; empty only for a marker.
        :returns: What can be understood, and :class:`Unreadable` for what cannot. All of it
            can be encoded as JSON.
        :raises NotUnderstood: if nothing of it can be understood.
        """

    def session_of(path: str) -> str | None:  # noqa: N805  # zope: no self
        """The session whose directory a path is, or lies in; None if there is none."""

    def gone(path: str) -> Sequence[Sighting]:  # noqa: N805  # zope: no self
        """
        Say what it means that a file is not there any more.

        :returns: Nothing where what it said last still holds.
        """

    def is_marker(path: str) -> bool:  # noqa: N805  # zope: no self
        """Whether a file says something by being there, so that it may be empty."""

    def is_log(path: str) -> bool:  # noqa: N805  # zope: no self
        """Whether a file is followed line by line, beside all that end in ``.log``."""

    def facts(path: str, lines: Sequence[str]) -> Sequence[Fact] | None:  # noqa: N805  # zope: no self
        """
        Say what new lines of a log mean.

        :returns: None where they are no more than lines.
        """


class PlainLayout:
    """A layout without markers and logs of its own, in which what a file said last still holds."""

    def gone(self, path: str) -> Sequence[Sighting]:
        """See :class:`ILayout`."""
        del path
        return ()

    def is_marker(self, path: str) -> bool:
        """See :class:`ILayout`."""
        del path
        return False

    def is_log(self, path: str) -> bool:
        """See :class:`ILayout`."""
        del path
        return False

    def facts(self, path: str, lines: Sequence[str]) -> Sequence[Fact] | None:
        """See :class:`ILayout`."""
        del path, lines
        return None


@implementer(ILayout)
@attrs.frozen(slots=True)
class JoinedLayout:
    """
    Several layouts as one: a file says what it says by any of them.

    :ivar layouts: Where they disagree about a session, the first that knows one holds.
    """

    layouts: Sequence[ILayout]

    def rank(self, path: str) -> int | None:
        """See :class:`ILayout`."""
        ranks = [layout.rank(path) for layout in self.layouts]
        return min((rank for rank in ranks if rank is not None), default=None)

    def sightings(self, path: str, content: bytes) -> Sequence[Sighting]:
        """See :class:`ILayout`."""
        concerned = [layout for layout in self.layouts if layout.rank(path) is not None]
        return [said for layout in concerned for said in layout.sightings(path, content)]

    def session_of(self, path: str) -> str | None:
        """See :class:`ILayout`."""
        found = (layout.session_of(path) for layout in self.layouts)
        return next((session_id for session_id in found if session_id is not None), None)

    def gone(self, path: str) -> Sequence[Sighting]:
        """See :class:`ILayout`."""
        return [said for layout in self.layouts for said in layout.gone(path)]

    def is_marker(self, path: str) -> bool:
        """See :class:`ILayout`."""
        return any(layout.is_marker(path) for layout in self.layouts)

    def is_log(self, path: str) -> bool:
        """See :class:`ILayout`."""
        return any(layout.is_log(path) for layout in self.layouts)

    def facts(self, path: str, lines: Sequence[str]) -> Sequence[Fact] | None:
        """See :class:`ILayout`."""
        found = (layout.facts(path, lines) for layout in self.layouts)
        return next((facts for facts in found if facts is not None), None)


def json_of(content: bytes) -> Any:
    """
    Parse JSON that anybody may have written.

    The depth is bounded by the interpreter's stack, which msgspec minds.

    :raises NotUnderstood: if it is no JSON in UTF-8, or has numbers that nobody can use.
    """
    try:
        return _decode(content.removeprefix(_BYTE_ORDER_MARK))
    except RecursionError:
        raise NotUnderstood("is nested too deeply") from None
    except ValueError as failure:  # both of msgspec's errors, and broken UTF-8
        raise NotUnderstood(f"is no valid JSON: {failure}") from failure


def object_of(value: Any) -> dict[str, Any]:
    """
    Take a JSON value for an object.

    :raises NotUnderstood: if it is none.
    """
    if not isinstance(value, dict):
        raise NotUnderstood("holds no JSON object")
    return value


def list_of(value: Any, name: str) -> list[Any]:
    """
    Take a JSON value for a list, or for an object that has one.

    :param name: Of the list in the object.
    :raises NotUnderstood: if there is none.
    """
    items = value.get(name) if isinstance(value, dict) else value
    if not isinstance(items, list):
        raise NotUnderstood(f"holds no list of {name!r}")
    return items
