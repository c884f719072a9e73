"""
A layout whose sightings hold no secrets.

What files say goes into rows as well as into events, and is compared with what was said before.
So it is redacted where it is read, in the threads that read, before anybody compares anything.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs
from zope.interface import implementer

from loki_twisted.model.events import Fact
from loki_twisted.model.redaction import Redactor
from loki_twisted.state.interface import Sighting
from loki_twisted.state.layout import ILayout


@implementer(ILayout)
@attrs.frozen(slots=True)
class RedactedLayout:
    """
    Says what another layout says, without secrets.

    :ivar layout: The other one.
    """

    layout: ILayout
    redactor: Redactor

    def rank(self, path: str) -> int | None:
        """See :class:`ILayout`."""
        return self.layout.rank(path)

    def sightings(self, path: str, content: bytes) -> Sequence[Sighting]:
        """See :class:`ILayout`."""
        said = self.layout.sightings(path, content)
        if self.redactor.may_concern([content.decode("utf-8", "replace")]):
            return [self.redactor.value(each) for each in said]
        return said

    def session_of(self, path: str) -> str | None:
        """See :class:`ILayout`."""
        return self.layout.session_of(path)

    def gone(self, path: str) -> Sequence[Sighting]:
        """See :class:`ILayout`."""
        return self.layout.gone(path)

    def is_marker(self, path: str) -> bool:
        """See :class:`ILayout`."""
        return self.layout.is_marker(path)

    def is_log(self, path: str) -> bool:
        """See :class:`ILayout`."""
        return self.layout.is_log(path)

    def facts(self, path: str, lines: Sequence[str]) -> Sequence[Fact] | None:
        """See :class:`ILayout`. Lines of logs are redacted by whoever tells them."""
        return self.layout.facts(path, lines)
