"""All verbs of ``lokictl``, in one table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from loki_twisted.command.values import (
    EVENT_TYPES,
    GROUPINGS,
    LEVELS,
    PROVIDERS,
    SCOPES,
    SESSION_STATUSES,
    TASK_STATUSES,
)
from loki_twisted.command.words import (
    Argument,
    Holds,
    Verb,
    count,
    flag,
    option,
    page,
    port,
    positional,
    positive,
)

_SESSIONS: Final = "loki_twisted.command.verbs_sessions"
_INBOX: Final = "loki_twisted.command.verbs_inbox"
_WATCHING: Final = "loki_twisted.command.verbs_watching"
_LISTS: Final = "loki_twisted.command.verbs_lists"

TOKEN_ACTIONS: Final = ("create", "list", "revoke")
SHELLS: Final = ("bash", "zsh", "fish")

JSON: Final = flag("--json", "print what the server says as JSON, streams as a line for each")
SERVER: Final = (
    option("--url", "URL", "the server, like http://host:57374 or unix:/path [LOKI_URL]"),
    option(
        "--token-file",
        "FILE",
        "take the token from a file, instead of LOKI_API_TOKEN",
        holds=Holds.FILE,
    ),
    JSON,
)
"""What all verbs take that talk to a server; before the verb too."""


def _one(text: str = "the session: its id, the beginning of one, or: latest") -> Argument:
    return positional("session", "SESSION", text, holds=Holds.SESSION)


def _some() -> Argument:
    text = "the sessions, each as its id, the beginning of one, or: latest"
    return positional("sessions", "SESSION", text, many="+", holds=Holds.SESSION)


def _maybe_one() -> Argument:
    return positional("session", "SESSION", "only this session", many="?", holds=Holds.SESSION)


_STATUS: Final = option(
    "--status", "STATUS", "only sessions of this status", choices=SESSION_STATUSES
)
_FOLLOW: Final = flag("--follow", "show its events to its end", short="-f")
_MODEL: Final = option("--model", "NAME", "the provider's name of a model")
_QUEUE: Final = flag("--queue", "wait for a place if there is none")
_QUIET: Final = flag("--quiet", "print the ids alone", short="-q")
_TEXT: Final = positional("text", "TEXT", "what to say; words need no quotes", many="+")

_START: Final = (
    positional("prd", "FILE", "what to build; in the project", many="?", holds=Holds.FILE),
    option("--provider", "NAME", "which kind of agent; see: health", suggested=PROVIDERS),
    option("--prompt", "TEXT", "what to do, in words"),
    option("--project-dir", "DIR", "where; else the server's project", holds=Holds.DIRECTORY),
    _MODEL,
    option("--timeout", "SECONDS", "stop it after this", read=positive),
    option("--budget", "USD", "stop it when it has spent more", read=positive),
    flag("--stay-open", "let it stay for more messages when its work is done"),
    option(
        "--on-unanswered",
        "WHAT",
        "of questions that nobody answers: deny, allow or wait",
        choices=("deny", "allow", "wait"),
    ),
    flag("--dry-run", "only say what would be done"),
    flag("--verbose", "let it say more"),
    _QUEUE,
    option("--priority", "N", "-100 to 100; higher goes first", read=int, default=0),
    flag("--direct", "its own program, not Loki Mode"),
    _FOLLOW,
)
_TAIL: Final = (
    _maybe_one(),
    option("--types", "TYPES", "only these, like task:*,log:error", listed=EVENT_TYPES),
    option("--min-level", "LEVEL", "no log events below this", choices=LEVELS),
    option("--history", "N", "begin with so many that are past; else 20", read=count, default=20),
    flag("--from-start", "begin with the oldest event there is"),
    option("--since", "TIME", "begin at a time: 10m, 2h, 1d, 14:30, 2026-11-26, or ISO 8601"),
    option("--after", "EVENT", "begin after an event id, or: earliest"),
    flag("--until-end", "end when the session has, with the exit code that fits"),
)
_USAGE: Final = (
    option("--by", "WHAT", "what a line stands for; else a session", choices=GROUPINGS),
    option("--session", "SESSION", "only of this session", holds=Holds.SESSION),
    option("--project", "DIR", "only of this project directory", holds=Holds.DIRECTORY),
    option("--provider", "NAME", "only of this provider", suggested=PROVIDERS),
    option("--since", "DAY", "only from this day (UTC) or time on, as for tail"),
    option("--until", "DAY", "only before this day (UTC) or time"),
    option("--limit", "N", "at most so many lines; else 100", read=page, default=100),
)

VERBS: Final[Mapping[str, Verb]] = {
    "demo": Verb(
        "See it work: a server, an agent, its events.",
        "loki_twisted.command.demo:demo",
        (
            flag("--once", "end when the session has ended"),
            option("--port", "PORT", "port to listen on; else any", read=port, default=0),
            option(
                "--data-dir", "DIR", "directory to work in; else a new one", holds=Holds.DIRECTORY
            ),
            option("--speed", "N", "how many times as fast", read=positive),
            JSON,
        ),
    ),
    "ps": Verb(
        "List sessions.",
        f"{_SESSIONS}:ps",
        (
            _STATUS,
            option("--provider", "NAME", "only of this provider", suggested=PROVIDERS),
            option("--limit", "N", "at most so many; else 50", read=page, default=50),
            _QUIET,
            *SERVER,
        ),
    ),
    "start": Verb("Start a session.", f"{_SESSIONS}:start", (*_START, *SERVER)),
    "attach": Verb(
        "Watch a session and talk with its agent.",
        "loki_twisted.command.attach:attach",
        (_one(), flag("--from-start", "show all of it, not only its last events"), *SERVER),
        "What you type goes to the agent when you press Enter: the answer, if it has asked "
        "something, by its number, its value or its name; else a message. /help lists more. "
        "Ctrl-D leaves, and the session goes on.",
    ),
    "tail": Verb(
        "Show events as they happen.",
        f"{_WATCHING}:tail",
        (*_TAIL, *SERVER),
        "It goes on by itself where it was cut off, also over restarts of the server.",
    ),
    "top": Verb(
        "Show all sessions, live.",
        "loki_twisted.command.top:top",
        (
            option(
                "--interval",
                "SECONDS",
                "how often to look at least; else 2",
                read=positive,
                default=2.0,
            ),
            flag("--all", "those too that have ended"),
            flag("--once", "print it once and end, as where there is no terminal"),
            *SERVER,
        ),
        "q or Ctrl-C ends it.",
    ),
    "inbox": Verb("List what agents ask.", f"{_INBOX}:inbox", (_maybe_one(), _QUIET, *SERVER)),
    "answer": Verb(
        "Answer what an agent asks.",
        f"{_INBOX}:answer",
        (
            positional(
                "question",
                "QUESTION",
                "its id, the beginning of one, or the session that asks",
                holds=Holds.QUESTION,
            ),
            positional(
                "text", "ANSWER", "a value, name or number of an option, or words", many="+"
            ),
            option("--message", "TEXT", "what the agent is told beside that"),
            *SERVER,
        ),
    ),
    "input": Verb(
        "Say something to an agent.",
        f"{_INBOX}:give_input",
        (_one(), _TEXT, flag("--now", "into what it is doing, where it takes that"), *SERVER),
        "If it has asked one thing, that is the answer.",
    ),
    "stop": Verb(
        "Stop sessions.",
        f"{_SESSIONS}:stop",
        (_some(), flag("--wait", "until they have ended"), *SERVER),
    ),
    "pause": Verb("Halt sessions.", f"{_SESSIONS}:pause", (_some(), *SERVER)),
    "resume": Verb("Let paused sessions go on.", f"{_SESSIONS}:resume", (_some(), *SERVER)),
    "interrupt": Verb(
        "Let agents leave off what they are doing, and stay.",
        f"{_SESSIONS}:interrupt",
        (_some(), *SERVER),
    ),
    "continue": Verb(
        "Go on with a session that has ended.",
        f"{_SESSIONS}:go_on",
        (_one(), _TEXT, _MODEL, _QUEUE, _FOLLOW, *SERVER),
    ),
    "rm": Verb("Remove the records of sessions.", f"{_SESSIONS}:remove", (_some(), *SERVER)),
    "tasks": Verb(
        "List tasks.",
        f"{_LISTS}:tasks",
        (
            _maybe_one(),
            option("--status", "STATUS", "only tasks of this status", choices=TASK_STATUSES),
            option("--limit", "N", "at most so many; else 100", read=page, default=100),
            *SERVER,
        ),
    ),
    "usage": Verb("Say what was spent.", f"{_LISTS}:usage", (*_USAGE, *SERVER)),
    "health": Verb("Say how the server is.", f"{_LISTS}:health", SERVER),
    "record": Verb(
        "Keep what an agent prints.",
        "loki_twisted.command.verbs_recording:record",
        (
            _one(),
            positional(
                "file", "FILE", "where to write; - for the standard output", holds=Holds.FILE
            ),
            *SERVER,
        ),
    ),
    "token": Verb(
        "Make, list or take back tokens in a file of a server.",
        "loki_twisted.command.verbs_tokens:manage_tokens",
        (
            positional("action", "ACTION", "create, list or revoke", choices=TOKEN_ACTIONS),
            positional("name", "NAME", "of a token to create or revoke", many="?"),
            option("--file", "FILE", "that of loki serve --token-file", holds=Holds.FILE),
            option(
                "--scopes",
                "SCOPES",
                "some of read,write,admin; else read,write",
                listed=SCOPES,
            ),
            option("--expires", "TIME", "30d, 12h, 15m, a day (UTC) or never; else never"),
            JSON,
        ),
        "A server takes up what changes within two seconds. A token is printed once.",
    ),
    "completion": Verb(
        "Print what lets a shell complete lokictl's words.",
        "loki_twisted.command.completion:completion",
        (positional("shell", "SHELL", "bash, zsh or fish", choices=SHELLS), JSON),
    ),
}
"""All verbs."""
