"""The served document against the server, by Schemathesis: what it promises is what is done."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from loki_twisted.web.routes import every_operation
from tests.system import Server
from tests.test_system_sessions import install_runner

HERE = Path(__file__).parent
EXAMPLES = 20
EXAMPLES_IN_FULL = 200
MOST_SECONDS = 7200
"""A bound against hanging, and no figure."""

MOST_LETTERS = 500
"""Of a line of a report that is shown: a request may be very long."""

DEMO = {"LOKI_DEMO_SPEED": "1000", "LOKI_DEMO_TIMEOUT": "0.2"}


def report_on(server: Server, examples: int, place: Path) -> str:
    """Have the document of a server tested; gives the report of it, in which nothing failed."""
    # From a file: the route that a document was read from is not tested.
    document = place / "openapi.json"
    document.write_bytes(server.request("GET", "/openapi.json").body)
    program = Path(sys.executable).with_name("schemathesis")
    command: list[str | Path] = [program, "--config-file", HERE / "schemathesis.toml"]
    command += ["run", document, "--url", server.base, "--max-examples", str(examples)]
    command += ["--phases", "examples,coverage,fuzzing,stateful", "--checks", "all"]
    # The same requests in each run, but for the ids that the server gives.
    command += ["--generation-deterministic", "--no-color", "--continue-on-failure"]
    environment = {
        **os.environ,
        "PYTHONHASHSEED": "0",
        "PYTHONPATH": str(HERE.parent),
        "SCHEMATHESIS_HOOKS": "tests.schemathesis_hooks",
    }
    ended = subprocess.run(
        command,
        cwd=place,
        env=environment,
        capture_output=True,
        text=True,
        timeout=MOST_SECONDS,
        check=False,
    )
    said = (ended.stdout + ended.stderr).splitlines()
    assert ended.returncode == 0, "\n".join(line[:MOST_LETTERS] for line in said)
    return ended.stdout


@pytest.mark.timeout(MOST_SECONDS)
def test_the_document_and_the_server_agree(tmp_path: Path, is_full: bool) -> None:
    """
    Every operation, in all phases and by all checks: no fault of ours, no answer that is not
    documented, nothing wrong that is taken and nothing right that is refused.
    """
    home, empty = tmp_path / "home", tmp_path / "empty"
    home.mkdir()
    empty.mkdir()
    install_runner(home, "exit 0")
    # Nothing on PATH: whatever is asked for, no agent of this machine's user is started.
    options = ("--max-sessions", "50", "--max-per-project", "50")
    with Server(home, *options, PATH=str(empty), **DEMO) as server:
        server.until_end(server.start(provider="demo"))  # there are tasks and inputs to find
        report = report_on(server, EXAMPLES_IN_FULL if is_full else EXAMPLES, tmp_path)
        assert f"Tested: {len(every_operation())}\n" in report
        for phase in ("Examples", "Coverage", "Fuzzing", "Stateful"):
            assert f"✅ {phase}\n" in report
        links = re.search(r"API Links: +(\d+) covered", report)
        assert links is not None
        assert int(links[1]) > 0
        assert server.get("/health/live")["alive"]
        assert server.stop() == 0
        assert not [line for line in server.said if "Traceback" in line or "CRITICAL" in line]
