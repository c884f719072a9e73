"""Tests of what is taken out of questions."""

from __future__ import annotations

from loki_twisted.agents.outputs import Asked
from loki_twisted.model.inputs import InputKind, Option
from loki_twisted.model.redaction import Redactor
from loki_twisted.sessions.masking import masked

SECRET = "sk-ant-" + "a" * 40


def test_options() -> None:
    """What explains an option is masked; what an answer has to name stays, the default too."""
    option = Option(value=SECRET, label=f"Use {SECRET}", description=f"It is {SECRET}.")
    asked = Asked(
        key="k", kind=InputKind.QUESTION, prompt="Which?", options=[option], default=SECRET
    )
    said = masked(asked, Redactor({}))
    assert isinstance(said, Asked)
    [kept] = said.options
    assert (kept.value, said.default) == (SECRET, SECRET)
    assert SECRET not in f"{kept.label} {kept.description}"
