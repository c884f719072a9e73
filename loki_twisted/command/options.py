"""
The options of a server, in one table.

From it are made the parser of ``loki serve``, the ``Options`` of ``twistd
loki`` and the settings: an option that stands in the table works in all of
them. Importing this module is cheap, so that ``--help`` is fast.
"""

from __future__ import annotations

import secrets
from typing import Final

import attrs

from loki_twisted.command.option import Option
from loki_twisted.command.readers import (
    read_allowed_host,
    read_count,
    read_endpoint,
    read_grace,
    read_host,
    read_log_format,
    read_mb,
    read_memory_mb,
    read_origin,
    read_path,
    read_patience,
    read_port,
    read_processes,
    read_provider_count,
    read_queued,
    read_retained_days,
    read_retained_events,
    read_speed,
    read_switch,
    read_unanswered,
)
from loki_twisted.settings import Settings

_DEFAULTS: Final = attrs.fields(Settings)

OPTIONS: Final = (
    Option(
        name="port",
        short="p",
        field="port",
        metavar="PORT",
        read=read_port,
        variables=("LOKI_DASHBOARD_PORT",),
        help=f"Port to listen on; {_DEFAULTS.port.default} by default, 0 for any free one.",
    ),
    Option(
        name="host",
        field="host",
        metavar="HOST",
        read=read_host,
        variables=("LOKI_API_HOST", "LOKI_DASHBOARD_HOST"),
        help=f"Host to bind to; {_DEFAULTS.host.default} by default. Any host beyond this "
        "machine needs a token.",
    ),
    Option(
        name="listen",
        field="listen",
        metavar="ENDPOINT",
        read=read_endpoint,
        repeatable=True,
        help="Listen on a Twisted endpoint (unix:/path, ssl:...) instead of host and port.",
    ),
    Option(
        name="no-cors",
        field="cors",
        read=read_switch,
        flag_means=False,
        help="Disable CORS: no page of another origin may use the API.",
    ),
    Option(
        name="cors-origin",
        field="cors_origins",
        metavar="ORIGIN",
        read=read_origin,
        repeatable=True,
        help="Let pages of this exact origin use the API, beside those of this machine.",
    ),
    Option(
        name="allowed-host",
        field="allowed_hosts",
        metavar="NAME",
        read=read_allowed_host,
        repeatable=True,
        help="Answer requests for this host name too.",
    ),
    Option(
        name="no-auth",
        field="auth",
        read=read_switch,
        flag_means=False,
        help="Disable authentication; only possible where nobody else can connect.",
    ),
    Option(
        name="token-file",
        field="token_file",
        metavar="FILE",
        read=read_path,
        help="Take the API tokens from a file (see: lokictl token), instead of LOKI_API_TOKEN.",
    ),
    Option(
        name="loki-dir",
        field="loki_dir",
        metavar="DIR",
        read=read_path,
        variables=("LOKI_DIR",),
        help="Directory that holds .loki/; by default the nearest one upward that does.",
    ),
    Option(
        name="data-dir",
        field="data_dir",
        metavar="DIR",
        read=read_path,
        help="Where the server keeps its log; <loki dir>/.loki/server by default.",
    ),
    Option(
        name="project-root",
        field="project_roots",
        metavar="DIR",
        read=read_path,
        repeatable=True,
        help="Agents may work in and under this directory, and its own .loki/ is watched; by "
        "default only the loki dir.",
    ),
    Option(
        name="max-sessions",
        field="max_sessions",
        metavar="N",
        read=read_count,
        help=f"How many sessions may run at once; {_DEFAULTS.max_sessions.default} by default.",
    ),
    Option(
        name="max-per-provider",
        field="max_per_provider",
        metavar="NAME=N",
        read=read_provider_count,
        repeatable=True,
        help="How many of them of one provider; no other limit by default.",
    ),
    Option(
        name="max-per-project",
        field="max_per_project",
        metavar="N",
        read=read_count,
        help="How many of them in one project directory; "
        f"{_DEFAULTS.max_per_project.default} by default.",
    ),
    Option(
        name="max-queued",
        field="max_queued",
        metavar="N",
        read=read_queued,
        help=f"How many may wait for a turn; {_DEFAULTS.max_queued.default} by default.",
    ),
    Option(
        name="allow-commands",
        field="allow_commands",
        read=read_switch,
        help="Let requests name any program to be run as an agent. Whoever may use the API may "
        "then do what you may.",
    ),
    Option(
        name="grace",
        field="grace_seconds",
        metavar="SECONDS",
        read=read_grace,
        help="How long a stopped agent has before it is killed; "
        f"{_DEFAULTS.grace_seconds.default:g} by default.",
    ),
    Option(
        name="drain",
        field="drain_seconds",
        metavar="SECONDS",
        read=read_grace,
        help="How long requests and streams under way have to end when the server does; "
        f"{_DEFAULTS.drain_seconds.default:g} by default.",
    ),
    Option(
        name="limit-memory-mb",
        field="limit_memory_mb",
        metavar="MB",
        read=read_memory_mb,
        help="How many megabytes of address space each process of an agent may have; 0 for any "
        "number, as by default.",
    ),
    Option(
        name="limit-processes",
        field="limit_processes",
        metavar="N",
        read=read_processes,
        help="How many processes this user may have, all counted, for an agent to start one more; "
        "0 for any number, as by default.",
    ),
    Option(
        name="limit-file-mb",
        field="limit_file_mb",
        metavar="MB",
        read=read_mb,
        help="How many megabytes each file that an agent writes may have, what it prints included; "
        "0 for any number, as by default.",
    ),
    Option(
        name="on-unanswered",
        field="on_unanswered",
        metavar="deny|allow|wait",
        read=read_unanswered,
        help="What becomes of a question of an agent that nobody answers in time; "
        f"{_DEFAULTS.on_unanswered.default} by default: it stays open as long as the agent waits.",
    ),
    Option(
        name="input-timeout",
        field="input_seconds",
        metavar="SECONDS",
        read=read_patience,
        help="How long such a question waits before it is denied or allowed; "
        f"{_DEFAULTS.input_seconds.default:g} by default, 0 for ever.",
    ),
    Option(
        name="stall-after",
        field="stall_seconds",
        metavar="SECONDS",
        read=read_patience,
        help="After how long without a word of its agent a session is told to be stalled; "
        f"{_DEFAULTS.stall_seconds.default:g} by default, 0 for never. Nothing is ended for it.",
    ),
    Option(
        name="retain-events",
        field="retain_events",
        metavar="N",
        read=read_retained_events,
        help=f"How many events the log keeps; {_DEFAULTS.retain_events.default} by default, 0 for "
        "all. Sessions that run keep their last 1000 in any case.",
    ),
    Option(
        name="retain-days",
        field="retain_days",
        metavar="DAYS",
        read=read_retained_days,
        help="How many days the log keeps events; 0 for ever, as by default.",
    ),
    Option(
        name="retain-mb",
        field="retain_mb",
        metavar="MB",
        read=read_mb,
        help="How many megabytes the log may have; 0 for any number, as by default.",
    ),
    Option(
        name="replay",
        field="replay",
        metavar="FILE",
        read=read_path,
        help="Play a recording (lokictl record) in a session, when the server begins.",
    ),
    Option(
        name="replay-speed",
        field="replay_speed",
        metavar="N",
        read=read_speed,
        help="How many times as fast it is played; 1 by default, 0 without any wait.",
    ),
    Option(
        name="log-format",
        field="log_format",
        metavar="text|json",
        read=read_log_format,
        help=f"How the log is written; {_DEFAULTS.log_format.default} by default, json is an "
        "object on each line.",
    ),
    Option(
        name="access-log",
        field="access_log",
        read=read_switch,
        help="Log each request, without what its query says.",
    ),
    Option(
        name="debug",
        field="debug",
        read=read_switch,
        variables=("LOKI_DEBUG",),
        help="Enable debug output.",
    ),
)

RELOAD_HELP: Final = "Restart when the server's own code changes."
GENERATE_HELP: Final = "Print a new API token and exit."
"""Two more that set nothing, and that each command carries out in its own way."""


def new_token() -> str:
    """Make a token that nobody can guess: 256 random bits."""
    return secrets.token_urlsafe(32)
