"""Tests of layouts in general."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import pytest
from zope.interface import implementer
from zope.interface.verify import verifyObject

from loki_twisted.state.documented import DocumentedLayout
from loki_twisted.state.interface import CurrentSession, Sighting
from loki_twisted.state.layout import (
    ILayout,
    JoinedLayout,
    NotUnderstood,
    PlainLayout,
    json_of,
)


@implementer(ILayout)
@attrs.frozen
class Other(PlainLayout):
    """A layout of one file that names a session, in a directory of its own."""

    file: str
    of: str | None

    def rank(self, path: str) -> int | None:
        return 7 if path == self.file else None

    def sightings(self, path: str, content: bytes) -> Sequence[Sighting]:
        return [CurrentSession(content.decode())]

    def session_of(self, path: str) -> str | None:
        return self.of


def test_layouts_are_joined() -> None:
    """Files of all layouts are read; one that several know says what it says by each."""
    joined = JoinedLayout([DocumentedLayout(), Other("state.json", "s2"), Other("x", None)])
    verifyObject(ILayout, joined)
    assert [joined.rank(path) for path in ("state.json", "x", "y")] == [4, 7, None]
    content = b'{"currentSession": "s1"}'
    assert joined.sightings("state.json", content) == [
        CurrentSession("s1"),
        CurrentSession(content.decode()),
    ]
    assert joined.sightings("x", b"s3") == [CurrentSession("s3")]
    assert joined.session_of("sessions/s1/x") == "s1"
    assert joined.session_of("elsewhere") == "s2"
    assert JoinedLayout([DocumentedLayout()]).session_of("elsewhere") is None


@pytest.mark.parametrize("content", [b"", b"{", b"[1,]", b"nul", b"\xff", b"[" * 100_000])
def test_what_is_no_json_is_refused_in_words(content: bytes) -> None:
    """What is no JSON is refused with a reason that can follow the file's name."""
    with pytest.raises(NotUnderstood, match=r"^is "):
        json_of(content)
