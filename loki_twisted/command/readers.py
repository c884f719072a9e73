"""
Readers: from a text that somebody typed to a value, or ValueError.

The message of the ValueError is the rest of a sentence that begins with what was
given: "``--port: 'x'`` is no port; give ...".
"""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from loki_twisted.access.tokens import TOKEN

_HOST_NAME: Final = re.compile(r"[a-z0-9_]([a-z0-9_.-]{0,251}[a-z0-9_])?", re.ASCII)
_PROVIDER: Final = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_TRUE: Final = ("1", "true", "yes", "on")
_FALSE: Final = ("0", "false", "no", "off")
_MOST_PORT: Final = 65535
_MOST_SESSIONS: Final = 1000
_MOST_QUEUED: Final = 100_000
_MOST_GRACE: Final = 3600
_MOST_WAIT: Final = 2_592_000
_LOG_FORMATS: Final = ("text", "json")
_UNANSWERED: Final = ("deny", "allow", "wait")
_MOST_EVENTS: Final = 10**12
_MOST_DAYS: Final = 100_000
_MOST_MB: Final = 10**9
_LEAST_MEMORY_MB: Final = 64
_MOST_PROCESSES: Final = 2**22


def read_port(text: str) -> int:
    """Read a TCP port; 0 is any free one."""
    if not re.fullmatch(r"[0-9]{1,5}", text, re.ASCII) or int(text) > _MOST_PORT:
        raise ValueError(f"is no port; give a number from 0 to {_MOST_PORT}")
    return int(text)


def read_host(text: str) -> str:
    """Read a name or an address to listen on; an IPv6 address may stand in brackets."""
    host = text.lower()
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if _is_address(bare):
        return bare
    if _HOST_NAME.fullmatch(host) and not re.fullmatch(r"[0-9.]+", host):
        return host
    raise ValueError("is no host name or address")


def read_allowed_host(text: str) -> str:
    """Read a name as it stands in a ``Host`` header, without a port."""
    host = read_host(text)
    return f"[{host}]" if ":" in host else host


def read_origin(text: str) -> str:
    """Read an exact web origin and bring it into the form in which browsers send it."""
    fault = "is no origin; give scheme, host and port only, like https://example.com:8443"
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError(fault) from None
    bare = parts.path == "" and not parts.query and not parts.fragment and "@" not in parts.netloc
    if parts.scheme not in {"http", "https"} or not parts.hostname or not bare:
        raise ValueError(fault)
    host = read_allowed_host(parts.hostname)
    usual = {"http": 80, "https": 443}[parts.scheme]
    return f"{parts.scheme}://{host}" + (f":{port}" if port not in {None, usual} else "")


def read_token(text: str) -> str:
    """Read a token: printable ASCII without blanks, as a header can carry it."""
    if not TOKEN.fullmatch(text):
        raise ValueError("is no token; a token is up to 1024 printable ASCII characters, no blanks")
    return text


def read_token_file(text: str) -> tuple[str, ...]:
    """Read the tokens of a file of a client's, one a line; empty lines are skipped."""
    try:
        lines = Path(text).read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise ValueError(f"cannot be read: {reason}") from None
    wanted = [line.strip() for line in lines if line.strip()]
    if not wanted or not all(TOKEN.fullmatch(line) for line in wanted):
        raise ValueError("holds no tokens; put one a line, printable ASCII without blanks")
    return tuple(wanted)


def read_count(text: str) -> int:
    """Read how many sessions may run at once."""
    if not re.fullmatch(r"[0-9]{1,4}", text, re.ASCII) or not 1 <= int(text) <= _MOST_SESSIONS:
        raise ValueError(f"is no number from 1 to {_MOST_SESSIONS}")
    return int(text)


def read_queued(text: str) -> int:
    """Read how many sessions may wait for their turn."""
    if not re.fullmatch(r"[0-9]{1,6}", text, re.ASCII) or int(text) > _MOST_QUEUED:
        raise ValueError(f"is no number from 0 to {_MOST_QUEUED}")
    return int(text)


def read_provider_count(text: str) -> tuple[str, int]:
    """Read how many sessions of one provider may run at once: its name, ``=``, and a number."""
    name, _, count = text.partition("=")
    if not _PROVIDER.fullmatch(name):
        raise ValueError("is no limit of a provider; give one like claude=2")
    return name, read_count(count)


def read_grace(text: str) -> float:
    """Read a duration in seconds."""
    if not re.fullmatch(r"[0-9]{1,4}(\.[0-9]{1,3})?", text, re.ASCII) or float(text) > _MOST_GRACE:
        raise ValueError(f"is no number of seconds from 0 to {_MOST_GRACE}")
    return float(text)


def read_log_format(text: str) -> str:
    """Read how a log is written."""
    if text not in _LOG_FORMATS:
        raise ValueError(f"is none of {', '.join(_LOG_FORMATS)}")
    return text


def read_unanswered(text: str) -> str:
    """Read what becomes of a question that nobody answers."""
    if text not in _UNANSWERED:
        raise ValueError(f"is none of {', '.join(_UNANSWERED)}")
    return text


def read_patience(text: str) -> float | None:
    """Read how many seconds something is waited for; 0 is for ever."""
    if not re.fullmatch(r"[0-9]{1,7}(\.[0-9]{1,3})?", text, re.ASCII) or float(text) > _MOST_WAIT:
        raise ValueError(f"is no number of seconds from 0 to {_MOST_WAIT}; 0 is for ever")
    return float(text) or None


def read_speed(text: str) -> float:
    """Read how many times as fast something goes; 0 is without any wait."""
    if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,3})?", text, re.ASCII):
        raise ValueError("is no speed; give a number from 0 to 999999")
    return float(text)


def read_retained_events(text: str) -> int | None:
    """Read how many events the log keeps; 0 is no limit."""
    if not re.fullmatch(r"[0-9]{1,13}", text, re.ASCII) or int(text) > _MOST_EVENTS:
        raise ValueError(f"is no number from 0 to {_MOST_EVENTS}; 0 keeps all")
    return int(text) or None


def read_retained_days(text: str) -> float | None:
    """Read how many days the log keeps its events; 0 is no limit."""
    if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6})?", text, re.ASCII) or float(text) > _MOST_DAYS:
        raise ValueError(f"is no number of days from 0 to {_MOST_DAYS}; 0 keeps them for ever")
    return float(text) or None


def read_mb(text: str) -> int | None:
    """Read how many megabytes the log, or a file of an agent, may have; 0 is no limit."""
    if not re.fullmatch(r"[0-9]{1,10}", text, re.ASCII) or int(text) > _MOST_MB:
        raise ValueError(f"is no number of megabytes from 0 to {_MOST_MB}; 0 is no limit")
    return int(text) or None


def read_memory_mb(text: str) -> int | None:
    """Read how many megabytes of memory an agent may have; 0 is no limit."""
    megabytes = read_mb(text)
    if megabytes is not None and megabytes < _LEAST_MEMORY_MB:
        raise ValueError(f"is too little for any agent; give {_LEAST_MEMORY_MB} at least")
    return megabytes


def read_processes(text: str) -> int | None:
    """Read how many processes an agent's user may have; 0 is no limit."""
    if not re.fullmatch(r"[0-9]{1,7}", text, re.ASCII) or int(text) > _MOST_PROCESSES:
        raise ValueError(f"is no number from 0 to {_MOST_PROCESSES}; 0 is no limit")
    return int(text) or None


def read_switch(text: str) -> bool:
    """Read a yes or no of an environment variable."""
    word = text.lower()
    if word not in _TRUE + _FALSE:
        raise ValueError(f"is none of {', '.join(_TRUE + _FALSE)}")
    return word in _TRUE


def read_endpoint(text: str) -> str:
    """Read an endpoint description as far as one can without opening it."""
    kind, colon, rest = text.partition(":")
    if not colon or not re.fullmatch(r"[a-z][a-z0-9_+-]*", kind, re.ASCII):
        raise ValueError("is no endpoint; give one like tcp:8080:interface=127.0.0.1 or unix:/path")
    if kind in {"tcp", "tcp6", "ssl"}:
        try:
            read_port(re.split(r"(?<!\\):", rest)[0].removeprefix("port="))
        except ValueError as error:
            raise ValueError(f"has a port that {error}") from None
    return text


def read_path(text: str) -> str:
    """Read a path; it is made absolute later."""
    if "\0" in text or not text:
        raise ValueError("is no path")
    return text


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
