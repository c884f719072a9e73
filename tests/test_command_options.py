"""The table of options, by every way to it."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

import pytest
from twisted.python import usage

from loki_twisted import tap
from loki_twisted.command.arguments import LineParser, add_server_options
from loki_twisted.command.given import settings_from
from loki_twisted.command.options import OPTIONS
from loki_twisted.settings import InvalidSettings, Settings


def by_serve(arguments: list[str], environ: dict[str, str], current: str) -> Settings:
    """The settings that ``loki serve`` makes of a command line."""
    parser = LineParser(prog="loki serve")
    add_server_options(parser)
    return settings_from(vars(parser.parse_args(arguments)), environ, current)


def token_file(path: Path, content: str) -> None:
    """Write a file as one of tokens has to be."""
    path.write_text(content)
    path.chmod(0o600)


def by_twistd(
    arguments: list[str], environ: dict[str, str], current: str, monkeypatch: Any
) -> Settings:
    """The settings that ``twistd loki`` makes of one."""
    monkeypatch.setattr("os.environ", environ)
    monkeypatch.chdir(current)
    options = tap.Options()
    options.parseOptions(arguments)
    return options.settings


def test_every_option_by_both_ways(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All options of the table work with loki serve and with twistd, and come to the same."""
    token_file(tmp_path / "tokens", "first-token\n\n  second-token  \n")
    (tmp_path / "one").mkdir()
    arguments = [
        *("-p", "8080", "--host", "[::1]", "--no-cors", "--no-auth", "--debug"),
        *("--listen", "unix:/a", "--listen", "tcp:81:interface=127.0.0.1"),
        *("--cors-origin", "https://Example.com:443", "--cors-origin", "http://x:81"),
        *("--allowed-host", "Build.Example", "--token-file", "tokens"),
        *("--loki-dir", "one/.loki", "--data-dir", "data", "--max-sessions", "3"),
        *("--max-per-provider", "codex=2", "--max-per-provider", "aider=1"),
        *("--max-per-project", "4", "--allow-commands"),
        *("--max-queued", "0"),
        *("--on-unanswered", "deny", "--input-timeout", "30", "--stall-after", "60"),
        *("--project-root", ".", "--project-root", "/", "--grace", "2.5"),
        *("--drain", "1.5", "--log-format", "json", "--access-log"),
        *("--limit-memory-mb", "4000", "--limit-processes", "500", "--limit-file-mb", "100"),
        *("--retain-events", "5000", "--retain-days", "0.5", "--retain-mb", "64"),
        *("--replay", "session.jsonl", "--replay-speed", "2"),
    ]
    monkeypatch.chdir(tmp_path)
    settings = by_serve(arguments, {}, str(tmp_path))

    assert settings == Settings(
        port=8080,
        host="::1",
        cors=False,
        auth=False,
        debug=True,
        listen=("unix:/a", "tcp:81:interface=127.0.0.1"),
        cors_origins=("https://example.com", "http://x:81"),
        allowed_hosts=("build.example",),
        token_file=str(tmp_path / "tokens"),
        loki_dir=str(tmp_path / "one"),
        data_dir=str(tmp_path / "data"),
        max_sessions=3,
        max_per_provider=(("codex", 2), ("aider", 1)),
        max_per_project=4,
        max_queued=0,
        allow_commands=True,
        on_unanswered="deny",
        input_seconds=30,
        stall_seconds=60,
        project_roots=(str(tmp_path), "/"),
        grace_seconds=2.5,
        drain_seconds=1.5,
        log_format="json",
        access_log=True,
        limit_memory_mb=4000,
        limit_processes=500,
        limit_file_mb=100,
        retain_events=5000,
        retain_days=0.5,
        retain_mb=64,
        replay=str(tmp_path / "session.jsonl"),
        replay_speed=2.0,
    )
    assert by_twistd(arguments, {}, str(tmp_path), monkeypatch) == settings
    given = {word.removeprefix("--") for word in arguments if word.startswith("--")} | {"port"}
    assert given == {option.name for option in OPTIONS}


def test_nothing_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without options and variables the defaults hold, by both ways."""
    settings = by_serve([], {}, str(tmp_path))

    assert settings == Settings(loki_dir=settings.loki_dir)
    assert by_twistd([], {}, str(tmp_path), monkeypatch) == settings


def test_no_limits(tmp_path: Path) -> None:
    """Nought is no limit of what the log keeps, and none of what agents use."""
    arguments = ["--retain-events", "0", "--retain-days", "0", "--retain-mb", "0"]
    settings = by_serve(arguments, {}, str(tmp_path))

    assert (settings.retain_events, settings.retain_days, settings.retain_mb) == (None, None, None)

    arguments = ["--limit-memory-mb", "0", "--limit-processes", "0", "--limit-file-mb", "0"]
    assert by_serve(arguments, {}, str(tmp_path)) == Settings(loki_dir=settings.loki_dir)


@pytest.mark.parametrize(
    ("environ", "field", "value"),
    [
        ({"LOKI_DASHBOARD_PORT": "1234"}, "port", 1234),
        ({"LOKI_API_HOST": "127.0.0.1"}, "host", "127.0.0.1"),
        ({"LOKI_DASHBOARD_HOST": "127.0.0.2"}, "host", "127.0.0.2"),
        ({"LOKI_API_HOST": "::1", "LOKI_DASHBOARD_HOST": "127.0.0.2"}, "host", "::1"),
        ({"LOKI_API_HOST": "", "LOKI_DASHBOARD_HOST": "127.0.0.2"}, "host", "127.0.0.2"),
        ({"LOKI_API_TOKEN": "a-token"}, "tokens", ("a-token",)),
        ({"LOKI_API_TOKEN": ""}, "tokens", ()),
        ({"LOKI_DIR": "/"}, "loki_dir", "/"),
        ({"LOKI_DIR": "/.loki"}, "loki_dir", "/"),
        ({"LOKI_DEBUG": "true"}, "debug", True),
        ({"LOKI_DEBUG": "1"}, "debug", True),
        ({"LOKI_DEBUG": "FALSE"}, "debug", False),
        ({"LOKI_DEBUG": "0"}, "debug", False),
    ],
)
def test_variables(environ: dict[str, str], field: str, value: Any, tmp_path: Path) -> None:
    """Each documented variable has its effect; an empty one has none."""
    assert getattr(by_serve([], environ, str(tmp_path)), field) == value


def test_options_beat_variables(tmp_path: Path) -> None:
    """What is on the command line counts, even against a variable that is wrong."""
    environ = {"LOKI_DASHBOARD_PORT": "huh", "LOKI_DIR": "/nowhere", "LOKI_API_TOKEN": "b-token"}
    token_file(tmp_path / "tokens", "a-token")
    arguments = [
        "--port",
        "1",
        "--loki-dir",
        str(tmp_path),
        "--token-file",
        str(tmp_path / "tokens"),
    ]
    settings = by_serve(arguments, environ, str(tmp_path))

    assert (settings.port, settings.loki_dir) == (1, str(tmp_path))
    assert (settings.tokens, settings.token_file) == ((), str(tmp_path / "tokens"))


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--port", "abc"], "--port: 'abc' is no port"),
        (["--port", "65536"], "is no port"),
        (["--port", "-1"], "is no port"),
        (["--port", "8_0"], "is no port"),
        (["--port", "\u0661"], "is no port"),
        (["--port", ""], "--port needs a value"),
        (["--host", "a b"], "--host: 'a b' is no host"),
        (["--host", "127.1"], "is no host"),
        (["--host", "[::1"], "is no host"),
        (["--cors-origin", "*"], "is no origin"),
        (["--cors-origin", "null"], "is no origin"),
        (["--cors-origin", "https://a/b"], "is no origin"),
        (["--cors-origin", "https://a/"], "is no origin"),
        (["--cors-origin", "https://u@a"], "is no origin"),
        (["--cors-origin", "https://a:x"], "is no origin"),
        (["--cors-origin", "https://a:99999"], "is no origin"),
        (["--cors-origin", "ftp://a"], "is no origin"),
        (["--cors-origin", "https://*.a"], "is no host"),
        (["--allowed-host", "a:80"], "is no host"),
        (["--allowed-host", "*"], "is no host"),
        (["--token-file", "nowhere"], "cannot be read: No such file"),
        (["--token-file", "."], "cannot be read"),
        (["--token-file", "empty"], "holds no tokens"),
        (["--token-file", "bad"], "line 1 is no token"),
        (["--token-file", "open"], "may be read by other users; chmod 600"),
        (["--max-sessions", "0"], "is no number from 1"),
        (["--max-sessions", "x"], "is no number from 1"),
        (["--max-per-provider", "codex"], "is no number from 1"),
        (["--max-per-provider", "codex=0"], "is no number from 1"),
        (["--max-per-provider", "=2"], "is no limit of a provider"),
        (["--max-per-provider", "2"], "is no limit of a provider"),
        (["--max-per-project", "0"], "is no number from 1"),
        (["--max-queued", "100001"], "is no number from 0"),
        (["--grace", "soon"], "is no number of seconds"),
        (["--grace", "nan"], "is no number of seconds"),
        (["--limit-memory-mb", "63"], "is too little for any agent"),
        (["--limit-memory-mb", "all"], "is no number of megabytes"),
        (["--limit-processes", "-1"], "0 is no limit"),
        (["--limit-processes", "9999999"], "is no number from 0"),
        (["--limit-file-mb", "1.5"], "is no number of megabytes"),
        (["--retain-events", "-1"], "0 keeps all"),
        (["--retain-events", "1e6"], "0 keeps all"),
        (["--retain-events", "9999999999999"], "is no number from 0"),
        (["--retain-days", "week"], "is no number of days"),
        (["--retain-days", "inf"], "is no number of days"),
        (["--retain-days", "100001"], "is no number of days"),
        (["--retain-mb", "1.5"], "is no number of megabytes"),
        (["--retain-mb", "9999999999"], "is no number of megabytes"),
        (["--listen", "8080"], "is no endpoint"),
        (["--listen", "tcp:x"], "has a port that is no port"),
        (["--listen", ""], "is no endpoint"),
        (["--loki-dir", "nowhere"], "is no directory"),
        (["--project-root", "nowhere"], "is no directory"),
        (["--host", "0.0.0.0"], "without a token"),
        (["--no-auth", "--listen", "tcp:8080"], "with --no-auth"),
    ],
)
def test_wrong_values(
    arguments: list[str], complaint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A value that is wrong is one line that names it, by both ways; nothing is made on disk."""
    token_file(tmp_path / "empty", "")
    token_file(tmp_path / "bad", "two words")
    token_file(tmp_path / "open", "a-token")
    (tmp_path / "open").chmod(0o640)
    before = sorted(tmp_path.rglob("*"))
    monkeypatch.chdir(tmp_path)

    with pytest.raises(InvalidSettings, match=r"^[^\n]+$") as refused:
        by_serve(arguments, {}, str(tmp_path))
    assert complaint in str(refused.value)
    with pytest.raises(usage.UsageError) as misused:
        by_twistd(arguments, {}, str(tmp_path), monkeypatch)
    assert str(misused.value) == str(refused.value)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("environ", [{"LOKI_DASHBOARD_PORT": "x"}, {"LOKI_DEBUG": "perhaps"}])
def test_wrong_variables(environ: dict[str, str], tmp_path: Path) -> None:
    """A variable that is wrong is named too."""
    with pytest.raises(InvalidSettings, match=next(iter(environ))):
        by_serve([], environ, str(tmp_path))


@pytest.mark.threat("T12")
def test_a_wrong_token_is_not_repeated(tmp_path: Path) -> None:
    """A token that cannot be one is complained of, and not printed."""
    with pytest.raises(InvalidSettings) as refused:
        by_serve([], {"LOKI_API_TOKEN": "s3cret with blanks"}, str(tmp_path))

    assert "LOKI_API_TOKEN" in str(refused.value)
    assert "s3cret" not in str(refused.value)


def test_a_generated_token_is_one(tmp_path: Path) -> None:
    """What --generate-token prints is a token."""
    token = secrets.token_urlsafe(32)

    assert by_serve([], {"LOKI_API_TOKEN": token}, str(tmp_path)).tokens == (token,)


@pytest.mark.threat("T35", "T-cfg2")
@pytest.mark.parametrize("arguments", [["--bogus"], ["--por", "1"], ["extra"], ["--port"]])
def test_wrong_command_lines(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Unknown, shortened and incomplete options are one line on stderr and exit code 2."""
    with pytest.raises(SystemExit) as ended:
        by_serve(arguments, {}, str(tmp_path))
    out, err = capsys.readouterr()

    assert ended.value.code == 2
    assert out == ""
    assert err.count("\n") == 1


def test_help_tells_all(capsys: pytest.CaptureFixture[str]) -> None:
    """Each option stands in the help of both commands, with its variables."""
    parser = LineParser(prog="loki serve")
    add_server_options(parser)
    helps = [parser.format_help(), str(tap.Options())]

    for text in helps:
        words = text.split()
        for option in OPTIONS:
            assert any(word.startswith(f"--{option.name}") for word in words)
            for variable in option.variables:
                assert variable in text
