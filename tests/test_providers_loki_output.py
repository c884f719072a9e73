"""What Loki Mode prints: prompts are left out, everything else is the plain protocol."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zope.interface.verify import verifyObject

from loki_twisted.agents.driving import IDriver
from loki_twisted.agents.providers.loki_output import LokiModeDriver
from loki_twisted.agents.providers.plain import facts_of_line

CONSOLE = Path(__file__).parent / "data" / "run1-simple" / "console.jsonl"
INFO = "\033[0;32m[INFO]\033[0m"
RULE = "\033[0;36m━━━━━━━━\033[0m"


def messages(*lines: str, stream: str = "stdout") -> list[str]:
    """What is told of some lines."""
    driver = LokiModeDriver()
    return [fact.data["message"] for line in lines for fact in driver.line(stream, line)]


def left_out(characters: int, lines: int) -> str:
    return f"[A prompt of {characters} characters in {lines} lines is left out.]"


def test_it_is_a_driver() -> None:
    """It provides the interface."""
    verifyObject(IDriver, LokiModeDriver())


@pytest.mark.parametrize("end", [RULE, "━━━━", "╔═══", f"{INFO} x"])
def test_a_prompt_that_is_said(end: str) -> None:
    """One line stands for all of it, before the line behind it."""
    (told,) = facts_of_line("stdout", end)
    assert messages("before", f"{INFO} Prompt: Do this.", "", "- that", end, "after") == [
        "before",
        left_out(14, 3),
        told.data["message"],
        "after",
    ]


def test_what_people_write_ends_no_prompt() -> None:
    """A prompt holds their words and whole files of theirs: all of it is left out."""
    told = messages(f"{INFO} Prompt: Do", "=== Part 1 ===", "[INFO] a line of a log", "x", RULE)
    assert told[0] == left_out(2 + 14 + 22 + 1, 4)


def test_the_beginning_of_a_prompt_is_left_out_too() -> None:
    """Loki Mode notes no more than that, and says so."""
    noted = "=== Prompt (truncated): Do", "this... ==="
    assert messages(*noted, "after") == [left_out(2 + 11, 2), "after"]


def test_a_prompt_that_is_noted() -> None:
    """It ends with the line that ends as it began, whether that is the first or another."""
    assert messages("=== Prompt: Do this. ===", "after") == [left_out(12, 1), "after"]
    assert messages("=== Prompt: Do", "this. ===", "after") == [left_out(11, 2), "after"]
    assert messages("=== Prompt: Do", "=== RARV Phase: ACT ===") == [
        left_out(2, 1),
        "=== RARV Phase: ACT ===",
    ]


def test_prompts_one_after_the_other() -> None:
    """Each is left out for itself."""
    said, noted = f"{INFO} Prompt: one", "=== Prompt: two ==="
    told = messages(said, RULE, noted, said, said, RULE)
    assert [each for each in told if each.startswith("[A prompt")] == [
        left_out(3, 1),
        left_out(7, 1),
        left_out(3, 1),
        left_out(3, 1),
    ]


def test_the_other_stream_is_never_part_of_a_prompt() -> None:
    """What is printed there meanwhile is told at once."""
    driver = LokiModeDriver()
    assert driver.line("stdout", f"{INFO} Prompt: one") == ()
    assert [fact.type for fact in driver.line("stderr", "trouble")] == ["log:error"]


def test_a_prompt_without_an_end() -> None:
    """After very many lines it is given up, and lines are told again."""
    told = messages(f"{INFO} Prompt: x", *["line"] * 20_001)
    assert told[0].startswith("[A prompt of ")
    assert told[1:] == ["line"] * 2


def test_all_other_lines_of_a_real_run_are_told() -> None:
    """Line by line the driver says what the plain one says."""
    driver = LokiModeDriver()
    for line in CONSOLE.read_text("utf-8").splitlines():
        step = json.loads(line)
        plain = list(facts_of_line(step["stream"], step["line"]))
        assert list(driver.line(step["stream"], step["line"])) == plain


@given(st.lists(st.sampled_from([f"{INFO} Prompt: p", "=== Prompt: p", "p ===", RULE, "p", ""])))
def test_no_line_is_lost_without_a_word(lines: list[str]) -> None:
    """Each line is told, or is counted in one that stands for it, once that can be known."""
    driver = LokiModeDriver()
    told = [fact.data["message"] for line in [*lines, RULE] for fact in driver.line("stdout", line)]
    counted = [int(each.split()[-5]) for each in told if each.startswith("[A prompt of ")]
    assert len(told) - len(counted) + sum(counted) == len(lines) + 1


@given(st.lists(st.sampled_from([f"{INFO} Prompt: p", "=== Prompt: p", "p ===", RULE, "p", ""])))
def test_a_driver_that_is_made_anew_says_the_same(lines: list[str]) -> None:
    """At any line, also in the middle of a prompt, of which nothing is told then."""
    driver = LokiModeDriver()
    for line in lines:
        other = LokiModeDriver(driver.memory())
        assert list(driver.line("stdout", line)) == list(other.line("stdout", line))
        assert driver.memory() == other.memory()
    assert list(LokiModeDriver(driver.memory()).ended()) == list(driver.ended())


def test_an_end_within_a_prompt() -> None:
    """The lines that were held back are counted."""
    driver = LokiModeDriver()
    driver.line("stdout", "=== Prompt: p")
    (fact,) = driver.ended()
    assert fact.data["message"] == left_out(1, 1)
    assert driver.ended() == ()


@pytest.mark.parametrize("memory", ["3", "[]", "null", "{}", '["x"]', "nonsense"])
def test_what_another_driver_remembered(memory: str) -> None:
    """It says nothing: the lines are told from here on."""
    assert [each.type for each in LokiModeDriver(memory).line("stdout", "hello")] == ["log:info"]
