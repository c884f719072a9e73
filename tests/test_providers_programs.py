"""Tests of finding programs."""

from __future__ import annotations

from pathlib import Path

import pytest

from loki_twisted.agents.providers.programs import maybe_loki_mode, maybe_program

OURS = "#!/venv/bin/python\nfrom loki_twisted.command.loki import main\nmain()\n"
THEIRS = "#!/bin/sh\necho Loki Mode\n"


def install(path: Path, text: str = THEIRS, mode: int = 0o755) -> str:
    """Write an executable and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return str(path)


def search_path(*directories: Path) -> str:
    """A value of PATH."""
    return ":".join(map(str, directories))


def test_the_first_program_of_a_name(tmp_path: Path) -> None:
    """In the order of PATH; a file that cannot be run and a directory are no programs."""
    install(tmp_path / "a" / "claude", mode=0o644)
    (tmp_path / "b" / "claude").mkdir(parents=True)
    found = install(tmp_path / "c" / "claude")
    install(tmp_path / "d" / "claude")
    path = search_path(*(tmp_path / name for name in "abcd"))
    assert maybe_program("claude", path) == found
    assert maybe_program("codex", path) is None
    assert maybe_program("claude", "") is None


def test_relative_entries_are_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program in the directory where the server happens to stand is not run."""
    install(tmp_path / "bin" / "claude")
    monkeypatch.chdir(tmp_path / "bin")
    for path in (".", "", "::", "bin", "../bin"):
        assert maybe_program("claude", path) is None


def test_our_own_loki_is_passed_over(tmp_path: Path) -> None:
    """The script of an installation names our package; the next one is Loki Mode's."""
    install(tmp_path / "ours" / "loki", OURS)
    theirs = install(tmp_path / "theirs" / "loki")
    path = search_path(tmp_path / "ours", tmp_path / "theirs")
    assert maybe_loki_mode(path, "/usr/bin/python3") == theirs
    assert maybe_loki_mode(str(tmp_path / "ours"), "/usr/bin/python3") is None


def test_a_link_to_our_own_loki_is_ours(tmp_path: Path) -> None:
    """As tools make them that install commands for a user."""
    install(tmp_path / "venv" / "loki", OURS)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "loki").symlink_to(tmp_path / "venv" / "loki")
    assert maybe_loki_mode(str(tmp_path / "bin"), "/usr/bin/python3") is None


def test_a_loki_beside_our_other_command_is_ours(tmp_path: Path) -> None:
    """Even a launcher that does not name our package, as wrappers of distributions are."""
    scripts = tmp_path / "venv"
    loki, python = install(scripts / "loki"), str(scripts / "python")
    assert maybe_loki_mode(str(scripts), python) == loki
    install(scripts / "lokictl", OURS)
    assert maybe_loki_mode(str(scripts), python) is None


def test_a_link_beside_our_other_command_may_be_theirs(tmp_path: Path) -> None:
    """What counts is where the program really lies: npm links into the same directory."""
    scripts = tmp_path / "bin"
    install(scripts / "lokictl", OURS)
    install(tmp_path / "lib" / "loki")
    (scripts / "loki").symlink_to(tmp_path / "lib" / "loki")
    assert maybe_loki_mode(str(scripts), str(scripts / "python3")) == str(scripts / "loki")
