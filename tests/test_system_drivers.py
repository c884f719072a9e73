"""Providers and drivers of others that get everything wrong, in a real server that is killed."""

from __future__ import annotations

import os
from pathlib import Path

from tests.system import Server

ROOT = Path(__file__).parent.parent
PLUGIN = '''
from zope.interface import implementer

from loki_twisted.agents.driving import Abilities, IProvider
from loki_twisted.agents.interface import LaunchPlan
from loki_twisted.agents.outputs import Asked, Conversation, TurnEnded
from loki_twisted.agents.providers.driver import Driver
from loki_twisted.model.events import Fact
from loki_twisted.model.inputs import InputKind


def log(text):
    return [Fact("log:info", {"level": "info", "message": text})]


class Wrong(Driver):
    """Says what is wrong for the line that is its fault, and the others as they are."""

    is_ready = True

    def __init__(self, fault):
        self.fault = fault

    def line(self, stream, text):
        return FAULTS[self.fault]() if text == "now" else log(text)

    def memory(self):
        return 5 if self.fault == "memory" else ""


class Raising:
    """Cannot be asked anything."""

    def __getattr__(self, name):
        raise RuntimeError(name)


FAULTS = {
    "event": lambda: [Fact("no:event", {})],
    "data": lambda: [Fact("log:info", {"message": object()})],
    "surrogate": lambda: [Fact("log:info", {"message": chr(0xD800)})],
    "question": lambda: [Asked(key=[], kind="none", prompt=5, agent_id=5)],
    "name": lambda: [Conversation(5)],
    "verdict": lambda: [TurnEnded("done", 5)],
    "outputs": lambda: 5,
    "memory": lambda: [],
    "raising": lambda: [],
    "none": lambda: [],
}


@implementer(IProvider)
class Provider:
    through_loki_mode = False
    abilities = Abilities(asks=True)

    def __init__(self, fault):
        self.name, self.fault = f"wrong-{fault}", fault

    def program(self, machine):
        return machine.python

    def plan(self, request, machine):
        program = "import sys; print('now'); print('then', flush=True); sys.stdin.read()"
        return LaunchPlan(
            argv=[machine.python, "-c", program],
            env=machine.environment(request.session_id, {}),
            cwd=request.project_dir,
            accepts_input=True,
        )

    def driver(self, request, memory):
        if self.fault == "none":
            return None
        return Raising() if self.fault == "raising" else Wrong(self.fault)


for fault in FAULTS:
    globals()[f"wrong_{fault}"] = Provider(fault)
'''


def test_drivers_that_get_everything_wrong(tmp_path: Path) -> None:
    """The lines behind the fault are told, the next server starts, and each session can end."""
    plugins = tmp_path / "path" / "twisted" / "plugins"
    plugins.mkdir(parents=True)
    (plugins / "wrong_providers.py").write_text(PLUGIN, "utf-8")
    (plugins / "wrong_import.py").write_text("raise RuntimeError('no such luck')\n", "utf-8")
    path = os.pathsep.join([str(tmp_path / "path"), str(ROOT)])
    sessions = {}
    with Server(tmp_path, "--max-sessions", "100", PYTHONPATH=path) as server:
        for name in server.get("/health")["providers"]:
            if name.startswith("wrong-"):
                (tmp_path / name).mkdir()
                sessions[name] = server.start(provider=name, projectDir=name)
        assert len(sessions) == 10
        for session_id in sessions.values():
            told = server.stream(f"sessionId={session_id}&types=log:info&lastEventId=earliest")
            assert any(event.data["message"] == "then" for event in told)
        server.kill()
    with Server(tmp_path, PYTHONPATH=path) as server:
        for session_id in sessions.values():
            server.post(f"/api/sessions/{session_id}/stop")
            assert server.until_end(session_id)[-1].type == "session:stopped"
        assert server.get("/health")["status"] != "unhealthy"
