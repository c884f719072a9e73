"""Taking secrets out of what drivers say, before any of it is kept."""

from __future__ import annotations

from typing import Any, Final, cast

import attrs
import msgspec

from loki_twisted.agents.outputs import Asked, Conversation, Output, Spent, Taken, Withdrawn, Write
from loki_twisted.model.redaction import Redactor

_AS_IT_IS: Final = (Write, Taken, Conversation, Spent)


def masked(output: Output, redactor: Redactor) -> Output:
    """
    Take the secrets out of an output.

    What is written to the agent stays as it is, and so does what an answer has to name.
    """
    if isinstance(output, _AS_IT_IS):
        return output
    changed: Any = redactor.value(output)
    if isinstance(output, Asked):
        changed = _answerable(output, changed)
    if isinstance(output, Withdrawn):
        changed = attrs.evolve(changed, key=output.key)
    return cast("Output", changed)


def _answerable(asked: Asked, changed: Asked) -> Asked:
    """Keep of a question what an answer has to name; what only explains it stays masked."""
    options = [
        msgspec.structs.replace(before, label=after.label, description=after.description)
        for before, after in zip(asked.options, changed.options, strict=True)
    ]
    names_one = any(each.value == asked.default for each in asked.options)
    default = asked.default if names_one else changed.default
    return attrs.evolve(changed, key=asked.key, options=options, default=default)
