"""Tests of what an agent is told to do."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loki_twisted.agents.interface import LaunchRequest
from loki_twisted.agents.providers.prompts import (
    MAX_ARGUMENT,
    as_argument,
    check_texts,
    maybe_prompt,
    prompt_of,
)
from loki_twisted.model.errors import InvalidRequest

REQUEST = LaunchRequest(session_id="s1", project_dir="/p", loki_dir="/p", provider="claude")


def request(**changes: Any) -> LaunchRequest:
    """A request that differs in some fields."""
    return attrs.evolve(REQUEST, **changes)


def faults(wanted: LaunchRequest) -> list[str]:
    """The fields that a request is refused for."""
    with pytest.raises(InvalidRequest) as caught:
        check_texts(wanted)
    assert caught.value.details is not None
    return [error["path"] for error in caught.value.details["errors"]]


def test_a_prompt_is_said_as_it_is() -> None:
    """Without the blanks around it."""
    assert prompt_of(request(prompt="  Mend the test. \n")) == "Mend the test."


def test_a_prd_is_an_order_to_implement_it() -> None:
    """The agent is told where it lies."""
    assert "/p/prd.md and implement" in prompt_of(request(prd_path="/p/prd.md"))


def test_prompt_and_prd_together() -> None:
    """The prompt comes first, and the document is named."""
    said = prompt_of(request(prompt="Only the first chapter", prd_path="/p/prd.md"))
    assert said.startswith("Only the first chapter\n")
    assert "/p/prd.md" in said


@pytest.mark.parametrize("prompt", [None, "", " \n\t"])
def test_neither_prompt_nor_prd(prompt: str | None) -> None:
    """An agent that works on a prompt cannot start without one; blanks are none."""
    assert maybe_prompt(request(prompt=prompt)) is None
    with pytest.raises(InvalidRequest, match="needs a prompt or a prdPath"):
        prompt_of(request(prompt=prompt))


@given(st.text(min_size=1).map(str.strip).filter(bool))
@settings(deadline=None)
def test_a_prompt_is_never_taken_for_anything_else(text: str) -> None:
    """It never begins with a dash, is never a single word, and all of it is there."""
    argument = as_argument(text)
    assert not argument.startswith("-")
    assert len(argument.split()) > 1 or any(each.isspace() for each in argument)
    assert argument.endswith(text)


@pytest.mark.threat("T16")
@pytest.mark.parametrize("text", ["--bg", "-x and more", "update", "#12", "/etc/passwd", "a.md"])
def test_what_could_be_a_word_of_the_command_line(text: str) -> None:
    """Options, sub-commands, issues and paths are put into words."""
    assert as_argument(text) == f"Your task: {text}"


def test_good_texts_are_taken() -> None:
    """Any language, and exactly as much as a command line holds."""
    check_texts(request(prompt="ü" * (MAX_ARGUMENT // 2), prd_path="/p/ü.md", model="a/b:c"))


@pytest.mark.parametrize("text", ["a\0b", "\ud800", "ü" * (MAX_ARGUMENT // 2 + 1)])
def test_texts_that_cannot_stand_on_a_command_line(text: str) -> None:
    """Each is named by its field, all of them at once."""
    wanted = request(prompt=text, prd_path=text, model=text)
    assert faults(wanted) == ["prompt", "prdPath", "model"]


@pytest.mark.threat("T16")
def test_a_model_is_no_option() -> None:
    """A name that begins with a dash is refused."""
    assert faults(request(model="--dangerous")) == ["model"]
