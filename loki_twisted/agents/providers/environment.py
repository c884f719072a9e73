"""
The environment of an agent, made from the server's.

By an allow-list: a variable that no line here names stays with the server, and
so does its secret. What an operator wants beyond it he names
(:func:`agent_environment`, ``extra_names``). Some names never go through: they are
the server's own secrets and settings, or would make an agent take itself for the server, or for a
part of the Claude Code session that the server was started from.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Final

ALLOWED: Final[Mapping[str, str]] = {
    # The machine and its user. A star stands for any rest of a name.
    "PATH": "programs",
    "HOME": "the CLIs' own settings and logins",
    "USER": "who",
    "LOGNAME": "who",
    "SHELL": "what the CLIs run commands with",
    "LANG": "language and encoding",
    "LANGUAGE": "language",
    "LC_*": "language and encoding",
    "TZ": "time zone",
    "TERM": "asked by tools even without a terminal",
    "TMPDIR": "temporary files",
    "TMP": "temporary files",
    "TEMP": "temporary files",
    "XDG_*": "settings, caches, the user's runtime directory",
    # The network.
    "HTTP_PROXY": "proxy",
    "HTTPS_PROXY": "proxy",
    "ALL_PROXY": "proxy",
    "NO_PROXY": "proxy",
    "http_proxy": "proxy",
    "https_proxy": "proxy",
    "all_proxy": "proxy",
    "no_proxy": "proxy",
    "SSL_CERT_*": "certificates of a company's proxy",
    "NODE_EXTRA_CA_CERTS": "the same for CLIs written for Node",
    "REQUESTS_CA_BUNDLE": "the same for aider",
    "SSH_AUTH_SOCK": "git over ssh",
    "GIT_*": "git",
    "GNUPGHOME": "signed commits",
    # Where tools of the project lie.
    "CARGO_HOME": "Rust",
    "RUSTUP_HOME": "Rust",
    "GOPATH": "Go",
    "GOROOT": "Go",
    "JAVA_HOME": "Java",
    "NVM_DIR": "Node",
    "PYENV_ROOT": "Python",
    # What the CLIs read: keys, endpoints, models, limits.
    "ANTHROPIC_*": "claude",
    "CLAUDE_*": "claude; but CLAUDE_CODE_* only as far as named below",
    "CLAUDE_CODE_OAUTH_TOKEN": "claude: login",
    "CLAUDE_CODE_API_KEY_HELPER_*": "claude: login",
    "CLAUDE_CODE_CLIENT_*": "claude: certificates",
    "CLAUDE_CODE_USE_*": "claude: Bedrock, Vertex, Foundry",
    "CLAUDE_CODE_SKIP_*": "claude: login of Bedrock, Vertex, Foundry",
    "CLAUDE_CODE_MAX_*": "claude: limits",
    "CLAUDE_CODE_SUBAGENT_MODEL": "claude: models",
    "CLAUDE_CODE_DISABLE_*": "claude: switches of the user's",
    "CLAUDE_CODE_ENABLE_*": "claude: switches of the user's",
    "OPENAI_*": "codex, aider, opencode",
    "CODEX_*": "codex",
    "AIDER_*": "aider",
    "CLINE_*": "cline",
    "OPENCODE_*": "opencode",
    "GOOSE_*": "goose",
    "COPILOT_*": "copilot",
    "OPENROUTER_*": "models of aider, cline, opencode",
    "GEMINI_*": "gemini; models of aider, cline, opencode",
    "GOOGLE_*": "gemini; models of claude, aider, opencode",
    "VERTEX*": "models of claude, aider",
    "CLOUD_ML_REGION": "models of claude",
    "AWS_*": "models of claude, aider, cline, opencode",
    "AZURE_*": "models of aider, opencode",
    "DEEPSEEK_*": "models of aider, opencode",
    "GROQ_*": "models of aider, opencode",
    "MISTRAL_*": "models of aider, opencode",
    "XAI_*": "models of aider, opencode",
    "OLLAMA_*": "models of aider, cline, opencode",
    # Loki Mode and the demo.
    "LOKI_*": "settings of the run; but see FORBIDDEN",
}
"""What may go to an agent, and for what."""

FORBIDDEN: Final[Mapping[str, str]] = {
    "LOKI_API_*": "the server's token and address",
    "LOKI_DASHBOARD*": "the server's address, and the keys of a dashboard",
    "LOKI_DEBUG": "the server's",
    "LOKI_TWISTED_*": "between the server's own commands",
    "LOKI_DIR": "the server means the project by it, Loki Mode the state directory",
    "LOKI_TARGET_DIR": "an agent works in its own working directory",
    "LOKI_TLS_*": "the server's keys",
    "LOKI_OIDC_*": "a dashboard's logins",
    "LOKI_ENTERPRISE_*": "a dashboard's logins",
    "LOKI_SESSION_ID": "each agent gets its own",
    "LOKI_OWN_SESSION": "said of the process that the server itself may run under",
    "GIT_DIR": "set by git's hooks; an agent works in its own repository",
    "GIT_WORK_TREE": "the same",
    "GIT_INDEX_FILE": "the same",
    "NOTIFY_SOCKET": "the service manager's line to the server",
    "LISTEN_*": "sockets that the server inherited",
    "WATCHDOG_*": "the server's own pulse",
    "MAINPID": "the server's",
    "CREDENTIALS_DIRECTORY": "the server's secrets",
    "CLAUDECODE": "claude refuses to run within itself",
}
"""What never goes to an agent, not even when an operator names it."""

_CLAUDE_CODE: Final = "CLAUDE_CODE_"
"""Claude Code marks its children by names of this kind, so only those of settings may pass."""


class _Names:
    """A set of names, some of them with a star at their end."""

    def __init__(self, patterns: Iterable[str]) -> None:
        patterns = tuple(patterns)
        self._exact = frozenset(patterns)
        self._starts = tuple(each[:-1] for each in patterns if each.endswith("*"))

    def __contains__(self, name: str) -> bool:
        return name in self._exact or name.startswith(self._starts)


_FORBIDDEN: Final = _Names(FORBIDDEN)
_ALLOWED: Final = _Names(ALLOWED)
_CLAUDE_CODE_SETTINGS: Final = _Names(each for each in ALLOWED if each.startswith(_CLAUDE_CODE))


def is_forbidden(name: str) -> bool:
    """Whether a variable never goes to an agent."""
    return name in _FORBIDDEN


def is_allowed(name: str) -> bool:
    """Whether a variable goes to an agent without being asked for."""
    allowed = _CLAUDE_CODE_SETTINGS if name.startswith(_CLAUDE_CODE) else _ALLOWED
    return name in allowed and name not in _FORBIDDEN


def agent_environment(
    environ: Mapping[str, str], session_id: str, extra_names: Collection[str] = ()
) -> dict[str, str]:
    """
    Make the environment of an agent.

    :param environ: The server's.
    :param session_id: Goes in as ``LOKI_SESSION_ID``, beside ``LOKI_API_MODE=true``.
    :param extra_names: Variables that go through too, unless they are forbidden.
    """
    chosen = {
        name: value
        for name, value in environ.items()
        if is_allowed(name) or (name in extra_names and not is_forbidden(name))
    }
    return chosen | {"LOKI_SESSION_ID": session_id, "LOKI_API_MODE": "true"}
