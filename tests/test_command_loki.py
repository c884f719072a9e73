"""The words of ``loki``: which are ours, and who gets the others."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from loki_twisted import __version__
from loki_twisted.command.handover import INSTEAD, already_handed_to, other_lokis
from loki_twisted.command.loki import main
from loki_twisted.command.lokictl import VERBS

OTHER = '#!/bin/sh\necho "other $0:" "$@"\nexit 7\n'
OURS = "#!{python}\nimport sys\nfrom loki_twisted.command.loki import main\nsys.exit(main())\n"


def put_loki(directory: Path, text: str, mode: int = 0o755) -> Path:
    """Put a ``loki`` into a directory."""
    directory.mkdir(exist_ok=True)
    program = directory / "loki"
    program.write_text(text.format(python=sys.executable))
    program.chmod(mode)
    return program


def run(search_path: list[Path | str], *words: str) -> subprocess.CompletedProcess[str]:
    """Run ours with a PATH."""
    path = os.pathsep.join(map(str, [*search_path, "/usr/bin", "/bin"]))
    return subprocess.run(
        [sys.executable, "-m", "loki_twisted", *words],
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"]])
def test_help(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Help names what is ours, and where the rest goes."""
    assert main(words) == 0
    out = capsys.readouterr().out
    assert "loki serve" in out
    assert "lokictl" in out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    """The version says whose it is."""
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"loki {__version__} (loki_twisted)\n"


def test_generate_token(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token is printed alone, each time another; nothing else has to be right for that."""
    monkeypatch.setenv("LOKI_DASHBOARD_PORT", "huh")
    tokens = set()
    for _ in range(3):
        assert main(["serve", "--generate-token"]) == 0
        out, err = capsys.readouterr()
        assert re.fullmatch(r"[\w-]{43}\n", out)
        assert err == ""
        tokens.add(out)
    assert len(tokens) == 3


def test_wrong_settings(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """What is wrong with a setting is one line on stderr, and the exit code 2."""
    assert main(["serve", "--port", "99999"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "loki serve: --port: '99999' is no port; give a number from 0 to 65535.\n"


def test_other_words_are_handed_on(tmp_path: Path) -> None:
    """The next loki on PATH that is not ours gets the same words, and gives the exit code."""
    put_loki(tmp_path / "ours", OURS)
    put_loki(tmp_path / "no-program", OTHER, mode=0o644)
    other = put_loki(tmp_path / "other", OTHER)
    put_loki(tmp_path / "last", OTHER)
    places = ["ours", "no-program", "nowhere", "other", "last"]

    ended = run([tmp_path / place for place in places], "start", "--bg", "a b")

    assert (ended.returncode, ended.stderr) == (7, "")
    assert ended.stdout == f"other {other}: start --bg a b\n"


def test_nobody_to_hand_to(tmp_path: Path) -> None:
    """Where there is no other loki, one line says what there is here instead."""
    put_loki(tmp_path / "ours", OURS)
    for word, told in (("status", "try: lokictl ps"), ("frobnicate", "see lokictl --help")):
        ended = run([tmp_path / "ours"], word)

        assert (ended.returncode, ended.stdout) == (127, "")
        expected = f"loki: {word!r} is a word of Loki Mode, which is not on PATH; {told}\n"
        assert ended.stderr == expected


def test_a_launcher_that_comes_back(tmp_path: Path) -> None:
    """A shim that only starts us again is left out the second time, so that this ends."""
    shim = '#!/bin/sh\nexec "{python}" -m loki_twis""ted "$@"\n'
    put_loki(tmp_path / "shim", shim)
    other = put_loki(tmp_path / "other", OTHER)

    ended = run([tmp_path / "shim", tmp_path / "other"], "status")
    assert (ended.returncode, ended.stdout) == (7, f"other {other}: status\n")

    ended = run([tmp_path / "shim"], "status")
    assert ended.returncode == 127


def test_a_program_that_cannot_run(tmp_path: Path) -> None:
    """A loki that cannot be started is named."""
    other = put_loki(tmp_path / "other", "#!/no/such/interpreter\n")

    ended = run([tmp_path / "other"], "status")

    assert ended.returncode == 126
    assert ended.stderr == f"loki: {other}: No such file or directory\n"


def test_relative_places_do_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What lies in the current directory is not run by accident."""
    put_loki(tmp_path / "bin", OTHER)
    monkeypatch.chdir(tmp_path)

    assert list(other_lokis(os.pathsep.join(["", ".", "bin"]))) == []


def test_the_guard_is_for_one_process() -> None:
    """What another process was handed to does not count, nor does an empty guard."""
    assert already_handed_to("12:/a/loki:/b/loki", 12) == ("/a/loki", "/b/loki")
    assert already_handed_to("12:/a/loki", 13) == ()
    assert already_handed_to("12", 12) == ()
    assert already_handed_to("", 12) == ()


def test_what_is_named_instead_is_there() -> None:
    """Every word that is pointed to is a verb of lokictl, or loki serve."""
    for instead in INSTEAD.values():
        program, verb = instead.split()[:2]
        assert (program, verb) == ("loki", "serve") or (program == "lokictl" and verb in VERBS)
