"""
nchan: an event hub in C inside of nginx. It parses nothing and writes nothing to disk.

One worker and one channel. A publisher posts the agent's lines as events, all over one
connection and without waiting for answers.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import attrs
import msgspec

from benchmarks.contestants.served import Served
from benchmarks.launching import free_port, launch
from benchmarks.procfs import children_of
from benchmarks.trouble import Trouble
from benchmarks.works import Lines
from benchmarks.workshop import Workshop

_SYSTEM_PATH: Final = "/usr/local/sbin:/usr/sbin:/sbin"
_MODULE: Final = "ngx_nchan_module.so"
_MODULE_DIRECTORIES: Final = (
    "/usr/lib/nginx/modules",
    "/usr/lib64/nginx/modules",
    "/usr/share/nginx/modules",
)
_MESSAGES: Final = 250_000  # more than any run has lines
_PUBLISH_SECONDS: Final = 300

CONFIGURATION: Final = """\
load_module {module};
daemon off;
worker_processes 1;
worker_rlimit_nofile 20000;
pid {place}/pid;
error_log stderr error;
events {{ worker_connections 16000; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    keepalive_timeout 600s;
    client_body_buffer_size 64k;
    client_body_temp_path {place}/body;
    proxy_temp_path {place}/proxy;
    fastcgi_temp_path {place}/fastcgi;
    uwsgi_temp_path {place}/uwsgi;
    scgi_temp_path {place}/scgi;
    nchan_shared_memory_size 1024M;
    nchan_message_buffer_length {messages};
    nchan_message_timeout 1h;
    server {{
        listen 127.0.0.1:{port} backlog=4000;
        location = /publish {{ nchan_publisher; nchan_channel_id bench; }}
        location = /events {{
            nchan_subscriber eventsource;
            nchan_channel_id bench;
            nchan_subscriber_first_message newest;
        }}
        location = /health/live {{ default_type application/json; return 200 '{{"alive":true}}'; }}
    }}
}}
"""


class Published(msgspec.Struct, frozen=True):
    """How the hub answered the publisher."""

    accepted: int
    refused: int


def maybe_nginx() -> str | None:
    """The path of nginx, or None."""
    return shutil.which("nginx") or shutil.which("nginx", path=_SYSTEM_PATH)


def maybe_module() -> Path | None:
    """The path of nginx's module, or None."""
    paths = (Path(directory, _MODULE) for directory in _MODULE_DIRECTORIES)
    return next((path for path in paths if path.exists()), None)


@attrs.frozen
class Nchan:
    """See above."""

    title: str = "nchan"
    live: str = "/health/live"
    everything: str = "/events"

    def streams(self, filters: int) -> Sequence[str]:  # noqa: ARG002 - it has none
        """See :class:`Contestant`."""
        return ["/events"]

    def missing(self) -> str | None:
        """See :class:`Contestant`."""
        if maybe_nginx() is None:
            return "nginx is not installed"
        if maybe_module() is None:
            return "nginx's module nchan is not installed (Debian: libnginx-mod-nchan)"
        return None

    def versions(self) -> Mapping[str, str]:
        """That of nginx; the module does not tell its own."""
        said = subprocess.run(
            [str(maybe_nginx()), "-v"], capture_output=True, text=True, check=False
        ).stderr
        found = re.search(r"nginx/(\S+)", said)
        return {"nginx": found[1] if found else "unknown"}

    def start(self, workshop: Workshop, *, loaded: int = 0) -> NchanServer:  # noqa: ARG002 - it keeps nothing
        """See :class:`Contestant`."""
        place = workshop.place("nchan")
        port = free_port()
        configuration = place / "nginx.conf"
        configuration.write_text(
            CONFIGURATION.format(module=maybe_module(), place=place, port=port, messages=_MESSAGES),
            encoding="utf-8",
        )
        process = launch(
            [str(maybe_nginx()), "-p", str(place), "-c", str(configuration), "-e", "stderr"],
            port=port,
            ready="/health/live",
            place=place,
        )
        return NchanServer(process, workshop.program("publisher"))


@attrs.define
class NchanServer(Served):
    """
    nchan that runs.

    :ivar publisher: The program that feeds it.
    """

    publisher: Path
    _publishing: subprocess.Popen[bytes] | None = None

    @property
    def pids(self) -> Sequence[int]:
        """The master and its worker."""
        return [self.process.pid, *children_of(self.process.pid)]

    def feed(self, lines: Lines) -> None:
        """Start the publisher."""
        numbers = (lines.count, lines.per_second, lines.padding)
        self._publishing = subprocess.Popen(
            [str(self.publisher), str(self.port), "/publish", *map(str, numbers)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def settle(self) -> None:
        """Look whether the hub has taken all."""
        if self._publishing is None:
            return
        try:
            output, errors = self._publishing.communicate(timeout=_PUBLISH_SECONDS)
            published = msgspec.json.decode(output, type=Published)
        except subprocess.TimeoutExpired as error:
            raise Trouble("the publisher does not end") from error
        except msgspec.MsgspecError as error:
            raise Trouble(f"the publisher failed: {errors.decode().strip()}") from error
        if published.refused:
            raise Trouble(f"the hub refused {published.refused} events")

    def stop(self) -> None:
        """See :class:`Server`."""
        if self._publishing is not None:
            with self._publishing:
                self._publishing.kill()
        self.process.stop()
