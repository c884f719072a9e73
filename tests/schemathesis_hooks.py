"""What Schemathesis is told beyond its settings: when it has seen enough of a stream."""

from __future__ import annotations

import re
from typing import Any

import requests
import schemathesis

FRAME = re.compile(rb"(?:^|\n)(?:id|event): [^\n]*\n(?:[^\n]+\n)*\n")


class Beginning:
    """
    The body of a stream up to its first frame that is more than a comment, and no further.

    A stream has no end. Its first frame tells where it begins, and comes at once; so what is
    seen of one does not depend on time.

    :param raw: The body as it comes.
    """

    def __init__(self, raw: Any) -> None:
        self._raw = raw
        self._seen = b""

    def read1(self, size: int, decode_content: bool) -> bytes:
        """Give some bytes, or none at the end."""
        while FRAME.search(self._seen) is None:
            piece: bytes = self._raw.read1(size, decode_content=decode_content)
            if not piece:
                return b""
            self._seen += piece
        whole = self._seen[: self._seen.rindex(b"\n\n") + 2]
        self._seen, self.read1 = b"", _nothing  # type: ignore[method-assign]  # it is over
        return whole

    def __getattr__(self, name: str) -> Any:
        return getattr(self._raw, name)


def _nothing(size: int, decode_content: bool) -> bytes:
    return b""


def look_at_the_beginning(response: requests.Response, **_: object) -> requests.Response:
    """Let no more be read of a stream than its beginning."""
    if response.headers.get("Content-Type") == "text/event-stream":
        response.raw = Beginning(response.raw)
    return response


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """Have each answer looked at before it is read."""
    kwargs["hooks"] = {"response": look_at_the_beginning}
