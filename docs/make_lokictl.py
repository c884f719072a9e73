"""
Makes the page about ``lokictl`` out of its own table of verbs.

``python docs/make_lokictl.py`` writes it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from loki_twisted.command.exits import MEANINGS
from loki_twisted.command.typed import HELP
from loki_twisted.command.verbs import SERVER, VERBS
from loki_twisted.command.words import Argument, Verb

PAGE = Path(__file__).parent / "lokictl.rst"

HEAD = """\
=======
lokictl
=======

.. This page is made by docs/make_lokictl.py. Change what it is made of.

``lokictl`` is the API on the command line: for people, with tables and colours, and for scripts,
with ``--json`` and exit codes.

.. code-block:: console

   $ lokictl start --provider demo
   session_1795478400000_1f2e3d4c running: The session starts.
   $ lokictl attach latest
   $ lokictl top

Which server
============

That of ``--url``, else of the variable ``LOKI_URL``, else the one on this machine, at the port
that ``LOKI_DASHBOARD_PORT`` names or at 57374. ``unix:/path`` is one behind a socket. Its token
is the first one in the file of ``--token-file``, else what is in ``LOKI_API_TOKEN``; on the
command line it could be read by every user. ``SSL_CERT_FILE`` names certificates that are to be
trusted. These options may stand before the verb or behind it.

Names
=====

A session is named by its id, by the beginning of that or of what stands behind its last
underscore, as long as no other one begins so, or by the word ``latest``. ``1f2e`` will do for
``session_1795478400000_1f2e3d4c``. A question is named in the same way, or by the session that
asks.

What is printed
===============

Tables are as wide as the terminal: where there is little room ids are short, and what matters
least is left out. Where the output is no terminal nothing is cut and nothing has colours;
``NO_COLOR`` and ``TERM=dumb`` see to the latter too. What agents say is cleaned of everything
that could steer a terminal. With ``--json`` each line of the output is an object, with the names
of :doc:`http-api`: one for each event, for each session that is given an order, and for each look
of ``top``; else there is one line. What stands in it is said with each verb: names may be added,
none is taken away. Errors are one line on stderr, which says what to do, with ``--json`` too.
"""

_EVENT = "id type timestamp sessionId data"
_ORDER = "sessionId status message"

JSON_OF = {
    "demo": (_EVENT, "for each event"),
    "ps": ("sessions total running", ""),
    "start": (_ORDER, "and behind it with ``--follow`` a line for each event"),
    "attach": (_EVENT, "for each event; nothing can be typed then"),
    "tail": (_EVENT, "for each event, heartbeats too"),
    "top": (
        "atMs sessions total server stream openInputs",
        "whenever it looks, with ``--once`` once",
    ),
    "inbox": ("inputs count", ""),
    "answer": ("input", ""),
    "input": (
        "sessionId message inputId messageId delivery status",
        "of which those of an answer or those of a message are there",
    ),
    "stop": (_ORDER, "for each session"),
    "pause": (_ORDER, "for each session"),
    "resume": (_ORDER, "for each session"),
    "interrupt": (_ORDER, "for each session"),
    "continue": (_ORDER, "and behind it with ``--follow`` a line for each event"),
    "rm": ("sessionId message", "for each session"),
    "tasks": ("tasks pagination", "and ``summary``, if they are those of a session"),
    "usage": ("by lines sum pagination", ""),
    "health": ("status version uptime providers activeSession problems", ""),
    "record": ("lines bytes", "at its end, unless it is kept on the standard output"),
    "token": (
        "name scopes expiresAt expired token",
        "of one that is made; ``tokens`` of a list; ``name``, ``message`` of a revoked one",
    ),
    "completion": ("shell script", ""),
}
"""What ``--json`` prints: names of an object, and when."""

COMPLETION = """\
Completion
==========

For verbs, options, their values, and names of sessions and questions; those are the server's:

.. code-block:: sh

   source <(lokictl completion bash)                                  # in ~/.bashrc
   source <(lokictl completion zsh)                                   # in ~/.zshrc, behind compinit
   lokictl completion fish > ~/.config/fish/completions/lokictl.fish
"""


def page() -> str:
    """The whole page."""
    parts = [
        HEAD,
        "\n".join(server_options()),
        "\n".join(exit_codes()),
        COMPLETION,
        "Verbs\n=====\n",
    ]
    parts += ["\n".join(about(name, verb)) for name, verb in VERBS.items()]
    parts.append("\n".join(while_attached()))
    return "\n".join(parts)


def server_options() -> Iterator[str]:
    """The table of what all verbs take that talk to a server."""
    rows = [(spelled(each), each.help) for each in SERVER]
    yield from table(("option of all verbs", "meaning"), rows)


def exit_codes() -> Iterator[str]:
    """The table of exit codes."""
    yield from ["Exit codes", "==========", ""]
    yield from table(("code", "meaning"), [(str(int(code)), MEANINGS[code]) for code in MEANINGS])


def about(name: str, verb: Verb) -> Iterator[str]:
    """The section of a verb."""
    yield from [name, "-" * len(name), "", f"{verb.help} {verb.more}".rstrip(), ""]
    yield from [".. code-block:: text", "", f"   {usage(name, verb)}", ""]
    own = [each for each in verb.arguments if each not in SERVER]
    rows = [(spelled(each), explained(each)) for each in own]
    if rows:
        yield from table(("argument", "meaning"), rows)
    names, when = JSON_OF[name]
    listed = ", ".join(f"``{each}``" for each in names.split())
    yield from [f"As JSON: {listed}{' ' if when else ''}{when}.".replace("  ", " "), ""]


def usage(name: str, verb: Verb) -> str:
    """How it is called, in a line."""
    words = ["lokictl", name]
    words += ["[options]"] if any(each.is_option for each in verb.arguments) else []
    for each in verb.arguments:
        if not each.is_option:
            dots = " ..." if each.many in {"+", "*"} else ""
            word = f"{each.metavar}{dots}"
            words.append(f"[{word}]" if each.many in {"?", "*"} else word)
    return " ".join(words)


def spelled(argument: Argument) -> str:
    """How an argument is written."""
    if not argument.is_option:
        return f"``{argument.metavar}``"
    value = f" {argument.metavar}" if argument.metavar else ""
    return ", ".join(f"``{each}{value}``" for each in argument.names)


def explained(argument: Argument) -> str:
    """What an argument means."""
    values = [each for each in argument.choices if each not in argument.help]
    return f"{argument.help}: {', '.join(values)}" if values else argument.help


def while_attached() -> Iterator[str]:
    """What can be typed while attached."""
    yield from ["While attached", "==============", "", ".. code-block:: text", ""]
    yield from (f"   {line}" for line in HELP)
    yield ""


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """A table of two columns."""
    shown = [(row[0], escaped(row[1])) for row in rows]
    widths = [max(map(len, column)) for column in zip(head, *shown, strict=True)]
    ruler = "  ".join("=" * width for width in widths)
    lines = [f"{left:<{widths[0]}}  {right}".rstrip() for left, right in [head, *shown]]
    yield from [ruler, lines[0], ruler, *lines[1:], ruler, ""]


def escaped(text: str) -> str:
    """A text without what would be markup."""
    return text.replace("*", "\\*").replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
