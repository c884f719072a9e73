"""Tests of the environment that agents are given."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loki_twisted.agents.providers.environment import (
    ALLOWED,
    FORBIDDEN,
    agent_environment,
    is_allowed,
    is_forbidden,
)

OURS = {"LOKI_SESSION_ID": "s1", "LOKI_API_MODE": "true"}
WANTED = ["PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "TERM", "TMPDIR", "TZ"]
WANTED += ["XDG_RUNTIME_DIR", "SSL_CERT_FILE", "HTTPS_PROXY", "no_proxy", "SSH_AUTH_SOCK"]
WANTED += [
    "GIT_AUTHOR_NAME",
    "ANTHROPIC_API_KEY",
    "CLAUDE_CONFIG_DIR",
    "OPENAI_API_KEY",
    "CODEX_HOME",
]
WANTED += ["AIDER_MODEL", "CLINE_DIR", "OPENCODE_CONFIG", "OPENROUTER_API_KEY", "GEMINI_API_KEY"]
WANTED += ["GOOGLE_CLOUD_PROJECT", "AWS_PROFILE", "AZURE_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN"]
WANTED += ["CLAUDE_CODE_USE_BEDROCK", "CLAUDE_CODE_MAX_OUTPUT_TOKENS", "LOKI_MAX_ITERATIONS"]
WANTED += ["LOKI_DEMO_SPEED", "NODE_EXTRA_CA_CERTS", "GOOSE_MODEL", "COPILOT_GITHUB_TOKEN"]
OWN = ["LOKI_API_TOKEN", "LOKI_API_HOST", "LOKI_DASHBOARD_PORT", "LOKI_DASHBOARD_HOST"]
OWN += ["LOKI_DASHBOARD", "LOKI_DEBUG", "LOKI_DIR", "LOKI_TARGET_DIR", "LOKI_TLS_KEY"]
OWN += ["NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID", "WATCHDOG_USEC", "CLAUDECODE"]
OWN += ["CREDENTIALS_DIRECTORY", "GIT_DIR", "LOKI_TWISTED_HANDED_TO", "LOKI_OWN_SESSION"]
UNNAMED = ["CLAUDE_CODE_ENTRYPOINT", "CLAUDE_CODE_SSE_PORT", "CLAUDE_CODE_SESSION_ACCESS_TOKEN"]
UNNAMED += [
    "PYTHONPATH",
    "VIRTUAL_ENV",
    "LD_PRELOAD",
    "DATABASE_URL",
    "GITHUB_TOKEN",
    "path",
    "PATH2",
]

NAMES = st.one_of(
    st.text(st.characters(codec="ascii", exclude_characters="=\0"), min_size=1, max_size=20),
    st.builds(
        lambda name, rest: name.replace("*", rest),
        st.sampled_from([*ALLOWED, *FORBIDDEN]),
        st.sampled_from(["", "X", "TOKEN", "_KEY"]),
    ),
)


@pytest.mark.parametrize("name", WANTED)
def test_what_agents_need_goes_through(name: str) -> None:
    """The machine, the network, and what each CLI reads."""
    assert agent_environment({name: "value"}, "s1") == {name: "value", **OURS}


@pytest.mark.threat("T13")
@pytest.mark.parametrize("name", OWN)
def test_what_is_the_servers_own_never_goes_through(name: str) -> None:
    """Not even when an operator names it."""
    assert is_forbidden(name)
    assert agent_environment({name: "secret"}, "s1", [name]) == OURS


@pytest.mark.parametrize("name", UNNAMED)
def test_what_nobody_named_stays(name: str) -> None:
    """A variable that no line names stays with the server, unless an operator names it."""
    assert agent_environment({name: "value"}, "s1") == OURS
    assert agent_environment({name: "value"}, "s1", [name]) == {name: "value", **OURS}


def test_the_session_is_named_by_us() -> None:
    """An inherited session, of an agent that started the server, does not reach the new one."""
    environ = {"LOKI_SESSION_ID": "outer", "LOKI_API_MODE": "false"}
    assert agent_environment(environ, "s1", list(environ)) == OURS


@pytest.mark.threat("T13")
@given(st.dictionaries(NAMES, st.just("value"), max_size=12), st.lists(NAMES, max_size=4))
def test_nothing_comes_out_that_may_not(environ: dict[str, str], extra: list[str]) -> None:
    """Whatever stands in the environment, all that comes out is allowed, asked for, or ours."""
    for name, value in agent_environment(environ, "s1", extra).items():
        if name in OURS:
            assert value == OURS[name]
        else:
            assert not is_forbidden(name)
            assert is_allowed(name) or name in extra
