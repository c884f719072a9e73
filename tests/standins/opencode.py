"""
A stand-in for opencode: ``opencode serve`` and ``opencode run``, with a script in place of a model.

The first word of a prompt is the name of the script (see ``Turn``). ``OPENCODE_STANDIN`` says what
is odd about the whole: ``deaf`` never listens, ``broken`` ends at once, ``old`` has the routes and
events of older versions. As the program that it stands for it knows its conversations again when it
is started anew in the same directory.
"""

from __future__ import annotations

import base64
import itertools
import json
import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

ODD = os.environ.get("OPENCODE_STANDIN", "")
LARGE = 30 * 1024 * 1024
TIMEOUT = 60
MEMORY = Path(".opencode-standin.json")
TOKENS = {
    "total": 160,
    "input": 100,
    "output": 10,
    "reasoning": 5,
    "cache": {"read": 40, "write": 5},
}

Body = dict[str, Any]


class World:
    """All that this server knows: sessions, what is open, who listens."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.sessions: dict[str, Body] = {}
        self.messages: dict[str, list[Body]] = {}
        self.todos: dict[str, list[Body]] = {}
        self.status: dict[str, Body] = {}
        self.open: dict[str, tuple[str, Body, queue.Queue[Body]]] = {}
        self.listeners: list[queue.Queue[bytes | None]] = []
        self.may_listen = threading.Event()
        self.may_listen.set()
        self.is_late, self.was_read = threading.Event(), threading.Event()
        self.turns: dict[str, Turn] = {}
        first = 1
        if MEMORY.exists():
            first, self.sessions, self.messages = json.loads(MEMORY.read_text("utf-8"))
        self._numbers = itertools.count(first)

    def remember(self) -> None:
        """Keep what was said for the next of us."""
        memory = json.dumps([next(self._numbers), self.sessions, self.messages])
        if len(memory) < LARGE // 10:
            MEMORY.write_text(memory, "utf-8")

    def name(self, kind: str) -> str:
        """A new id."""
        return f"{kind}_{next(self._numbers):06d}"

    def publish(self, kind: str, **properties: Any) -> None:
        """Tell all who listen."""
        event = {"id": self.name("evt"), "type": kind, "properties": properties}
        self.write(b"data: %s\n\n" % json.dumps(event).encode())

    def write(self, data: bytes) -> None:
        """Write to all who listen."""
        with self.lock:
            for listener in self.listeners:
                listener.put(data)

    def cut(self) -> None:
        """End all streams, and let nobody listen for now."""
        self.may_listen.clear()
        with self.lock:
            for listener in self.listeners:
                listener.put(None)
            self.listeners.clear()

    def create(self, **rest: Any) -> Body:
        """Make a session."""
        info = {"id": self.name("ses"), "title": "New session", **rest}
        self.sessions[info["id"]], self.messages[info["id"]] = info, []
        self.publish("session.created", sessionID=info["id"], info=info)
        return info

    def set_status(self, session: str, **status: Any) -> None:
        """Say whether a session is at work."""
        self.publish("session.status", sessionID=session, status=status)
        if status["type"] == "idle":
            self.status.pop(session, None)
            self.remember()
            self.publish("session.idle", sessionID=session)
        else:
            self.status[session] = status

    def put_message(self, session: str, info: Body) -> Body:
        """Store a message, or what has changed in it, and tell."""
        known = self.messages[session]
        found = next((each for each in known if each["info"]["id"] == info["id"]), None)
        if found is None:
            known.append({"info": dict(info), "parts": []})
        else:
            found["info"] = dict(info)
        self.publish("message.updated", sessionID=session, info=info)
        return info

    def put_part(self, part: Body) -> None:
        """Store a part, or what has changed in it, and tell."""
        for message in self.messages[part["sessionID"]]:
            if message["info"]["id"] == part["messageID"]:
                parts = [each for each in message["parts"] if each["id"] != part["id"]]
                message["parts"] = [*parts, part]
        self.publish("message.part.updated", sessionID=part["sessionID"], part=part, time=1)

    def ask(self, word: str, request: Body) -> Body:
        """Ask, and wait for the answer."""
        answer: queue.Queue[Body] = queue.Queue()
        request = {"id": self.name(word[:3]), **request}
        self.open[request["id"]] = (word, request, answer)
        self.publish(f"{word}.{'updated' if ODD == 'old' else 'asked'}", **request)
        return answer.get(timeout=TIMEOUT)

    def answer(self, name: str, body: Body, what: str, **rest: Any) -> bool:
        """Take an answer; false if nothing of that name is open."""
        with self.lock:
            found = self.open.pop(name, None)
        if found is None:
            return False
        word, request, answer = found
        self.publish(f"{word}.{what}", sessionID=request["sessionID"], requestID=name, **rest)
        answer.put(body)
        return True


class Turn:
    """A turn of a session: each script is a method."""

    def __init__(self, world: World, session: str) -> None:
        self.world, self.session = world, session
        self.heard: queue.Queue[str] = queue.Queue()
        self.is_aborted = threading.Event()
        self.message: Body = {}

    def run(self, words: str) -> None:
        """Play the script that the first word names."""
        world, words = self.world, words.removeprefix("Your task: ")
        world.set_status(self.session, type="busy")
        self.begin_step()
        getattr(self, words.split(maxsplit=1)[0], self.plain)(words)
        self.message["time"]["completed"] = 2
        world.put_message(self.session, self.message)
        world.turns.pop(self.session, None)
        world.set_status(self.session, type="idle")

    # What scripts are made of

    def begin_step(self) -> None:
        self.message = {
            "id": self.world.name("msg"),
            "sessionID": self.session,
            "role": "assistant",
            "time": {"created": 1},
            "providerID": "acme",
            "modelID": "large",
        }
        self.world.put_message(self.session, self.message)
        self.put(type="step-start")

    def put(self, **part: Any) -> Body:
        """Tell a part."""
        whole = {
            "id": self.world.name("prt"),
            "sessionID": self.session,
            "messageID": self.message["id"],
            **part,
        }
        self.world.put_part(whole)
        return whole

    def say(self, words: str, kind: str = "text") -> None:
        """Say something in two pieces, and then as a whole."""
        part = self.put(type=kind, text="", time={"start": 1})
        half = len(words) // 2
        for piece in (words[:half], words[half:]):
            names = {name: part[name] for name in ("sessionID", "messageID")}
            self.world.publish(
                "message.part.delta", **names, partID=part["id"], field="text", delta=piece
            )
        self.put(**part | {"text": words, "time": {"start": 1, "end": 2}})

    def tool(self, tool: str, given: Body, result: str = "", error: str = "") -> None:
        """Use a tool."""
        call = {"type": "tool", "tool": tool, "callID": self.world.name("call")}
        part = self.put(**call, state={"status": "pending", "input": {}, "raw": ""})
        for state in self.states(given, result, error):
            self.put(**part | {"state": state})

    def states(self, given: Body, result: str, error: str) -> list[Body]:
        """What becomes of a tool."""
        running = {"status": "running", "input": given, "time": {"start": 1}}
        end = (
            {"status": "error", "error": error}
            if error
            else {"status": "completed", "output": result}
        )
        return [running, {**running, **end, "time": {"start": 1, "end": 2}}]

    def finish(self, reason: str = "stop") -> None:
        """End the step."""
        self.put(type="step-finish", reason=reason, cost=0.25, tokens=TOKENS)
        self.message["finish"] = reason

    # Scripts

    def plain(self, words: str) -> None:
        """Think, say something, use a tool, say something."""
        self.say("Let me see.", "reasoning")
        self.say("I look at the files.")
        self.tool("bash", {"command": "ls"}, "a.txt\n")
        self.finish("tool-calls")
        self.message["time"]["completed"] = 2
        self.world.put_message(self.session, self.message)
        self.begin_step()
        self.say(f"Done: {words}")
        self.finish()

    def permission(self, words: str) -> None:
        """Ask for a permission; leave off if it is refused."""
        request = {
            "sessionID": self.session,
            "permission": "bash",
            "patterns": ["rm -r build"],
            "metadata": {"command": "rm -r build"},
            "always": ["rm *"],
        }
        if ODD == "old":
            request = {
                "sessionID": self.session,
                "type": "bash",
                "title": "rm -r build",
                "metadata": {},
            }
        reply = self.world.ask("permission", request)
        if (reply.get("reply") or reply.get("response")) == "reject":
            self.tool("bash", {"command": "rm -r build"}, error=f"rejected: {reply.get('message')}")
            self.finish("tool-calls")
            return
        self.tool("bash", {"command": "rm -r build"}, "gone")
        self.say(f"It was allowed: {reply}")
        self.finish()

    def elsewhere(self, words: str) -> None:
        """Ask for a permission that somebody else gives."""
        world = self.world
        name = world.name("per")
        request = {"id": name, "sessionID": self.session, "permission": "edit", "patterns": ["a"]}
        world.publish("permission.asked", **request)
        world.publish("permission.replied", sessionID=self.session, requestID=name, reply="once")
        self.say("Somebody else has allowed it.")
        self.finish()

    def questions(self, words: str) -> None:
        """Ask two things at once."""
        options = [
            {"label": "Red", "description": "warm"},
            {"label": "Blue", "description": "cold"},
        ]
        asked = [
            {"question": "Which colour?", "header": "Colour", "options": options},
            {"question": "Which sizes?", "header": "Size", "options": options, "multiple": True},
        ]
        reply = self.world.ask("question", {"sessionID": self.session, "questions": asked})
        self.say(f"Answers: {json.dumps(reply.get('answers'))}")
        self.finish()

    def todo(self, words: str) -> None:
        """Keep a plan."""
        for statuses in (
            ("in_progress", "pending"),
            ("completed", "in_progress"),
            ("completed",) * 2,
        ):
            todos = [
                {"content": title, "status": status, "priority": "high"}
                for title, status in zip(("Write", "Test"), statuses, strict=True)
            ]
            self.world.todos[self.session] = todos
            self.world.publish("todo.updated", sessionID=self.session, todos=todos)
        self.say("All is done.")
        self.finish()

    def toolerror(self, words: str) -> None:
        """Use a tool that fails, and get over it."""
        self.tool("read", {"filePath": "/nowhere"}, error="no such file")
        self.say("There is no such file.")
        self.finish()

    def error(self, words: str) -> None:
        """Fail."""
        problem = {"name": "APIError", "data": {"message": "the key is not valid"}}
        self.message["error"] = problem
        self.world.publish("session.error", sessionID=self.session, error=problem)

    def retry(self, words: str) -> None:
        """Be held up, and go on."""
        until = 1_800_000_000_000
        self.world.set_status(
            self.session, type="retry", attempt=1, message="Overloaded", next=until
        )
        self.world.set_status(self.session, type="busy")
        self.say("At last.")
        self.finish()

    def child(self, words: str) -> None:
        """Have a sub-agent do it, which asks for a permission."""
        world = self.world
        info = world.create(parentID=self.session, title="Look around (@explore subagent)")
        sub = Turn(world, info["id"])
        world.set_status(sub.session, type="busy")
        sub.begin_step()
        request = {"permission": "read", "patterns": ["/etc/*"], "metadata": {}, "always": []}
        world.ask("permission", {"sessionID": sub.session, **request})
        sub.say("I have looked around.")
        sub.finish()
        world.set_status(sub.session, type="idle")
        self.say("My helper has looked around.")
        self.finish()

    def wait(self, words: str) -> None:
        """Wait for one more message, or to be stopped."""
        self.say("I wait.")
        while not self.is_aborted.is_set():
            try:
                self.say(f"Heard: {self.heard.get(timeout=0.02)}")
            except queue.Empty:
                continue
            self.finish()
            return
        problem = {"name": "MessageAbortedError", "data": {"message": "Aborted"}}
        self.message["error"] = problem
        self.world.publish("session.error", sessionID=self.session, error=problem)

    def cut(self, words: str) -> None:
        """Say something while nobody can hear it."""
        self.say("Before.")
        self.world.cut()
        self.say("Meanwhile.")
        self.tool("bash", {"command": "make"}, "made")
        self.world.may_listen.set()
        deadline = time.monotonic() + TIMEOUT
        while not self.world.listeners and time.monotonic() < deadline:
            time.sleep(0.01)
        self.say("After.")
        self.finish()

    def cutend(self, words: str) -> None:
        """Ask and end while nobody can hear it."""
        self.say("Before.")
        self.world.cut()
        self.say("Meanwhile.")
        self.finish()
        threading.Timer(0.2, self.world.may_listen.set).start()

    def cutlate(self, words: str) -> None:
        """End while it is being read what was missed."""
        self.say("Before.")
        self.world.cut()
        self.world.is_late.set()
        self.world.may_listen.set()
        self.world.was_read.wait(TIMEOUT)
        self.say("After.")
        self.finish()

    def large(self, words: str) -> None:
        """Have a tool give very much."""
        self.tool("bash", {"command": "cat"}, "line\n" * (LARGE // 5))
        self.world.write(
            b'data: {"type":"x","properties":{"sessionID":"s","all":[%s0]}}\n\n' % (b"1," * 2**20)
        )
        self.say("That was much.")
        self.finish()

    def noise(self, words: str) -> None:
        """Say all kinds of things that mean nothing."""
        sys.stdout.buffer.write(b"\xff\xfe not JSON {\n")
        sys.stdout.buffer.flush()
        sys.stderr.write("Warning: something is odd\n")
        self.world.write(b": a comment\n\ndata: not JSON\n\ndata: [1]\r\n\r\nevent: x\n\n")
        self.world.publish("server.heartbeat")
        self.world.publish("a.new.kind", sessionID=self.session, depth=[[[[]]]])
        self.put(type="a-new-part")
        self.say("Still here, \ud83d and all.")
        self.finish()

    def die(self, words: str) -> None:
        """Be gone in the middle of a sentence."""
        self.put(type="text", text="I was about to", time={"start": 1})
        time.sleep(0.2)
        os._exit(3)


class Handler(BaseHTTPRequestHandler):
    """The routes."""

    protocol_version = "HTTP/1.1"
    world: World

    def log_message(self, *_: object) -> None:
        """Nothing: it would be noise."""

    def answer(self, status: int, value: Any = None, kind: str = "application/json") -> None:
        """Answer."""
        data = (
            b""
            if value is None
            else value
            if isinstance(value, bytes)
            else json.dumps(value).encode()
        )
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def no_route(self) -> None:
        """Answer as what has no such route."""
        self.answer(404, b"404 Not Found", "text/plain")

    def is_allowed(self) -> bool:
        """Whether the password is right."""
        said = f"opencode:{os.environ['OPENCODE_SERVER_PASSWORD']}".encode()
        if self.headers.get("Authorization") == f"Basic {base64.b64encode(said).decode()}":
            return True
        self.answer(401, {"message": "Unauthorized"})
        return False

    def do_GET(self) -> None:
        """Read."""
        if not self.is_allowed():
            return
        match self.path.partition("?")[0].split("/")[1:]:
            case ["event"]:
                self.stream()
            case ["session", "status"]:
                self.tell_status()
            case ["session", name, *what]:
                self.tell_session(name, *what)
            case [("permission" | "question") as word] if ODD != "old":
                waiting = list(self.world.open.values())
                self.answer(200, [each for kind, each, _ in waiting if kind == word])
            case _:
                self.no_route()

    def tell_status(self) -> None:
        """Say who is at work."""
        world = self.world
        while world.was_read.is_set() and world.status:
            time.sleep(0.01)
        self.answer(200, world.status)

    def tell_session(self, name: str, what: str = "") -> None:
        """Say something of a session."""
        world = self.world
        if name not in world.sessions:
            words = f"no session {name}"
            self.answer(404, {"name": "NotFoundError", "data": {"message": words}})
            return
        told: dict[str, Callable[[], Any]] = {
            "": lambda: world.sessions[name],
            "message": lambda: world.messages[name],
            "children": lambda: [
                each for each in world.sessions.values() if each.get("parentID") == name
            ],
            "todo": lambda: world.todos.get(name, []),
        }
        if what not in told:
            self.no_route()
            return
        self.answer(200, told[what]())
        if what == "message" and world.is_late.is_set():
            world.was_read.set()

    def do_POST(self) -> None:
        """Do."""
        if self.is_allowed():
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.do(self.path.split("/")[1:], json.loads(body or b"{}"))

    def do(self, path: list[str], body: Body) -> None:
        """Do what a path says."""
        world, is_old = self.world, ODD == "old"
        match path:
            case ["session"]:
                self.answer(200, world.create())
            case ["session", name, "prompt_async"] if name in world.sessions and not is_old:
                self.prompt(name, body)
                self.answer(204)
            case ["session", name, "message"] if name in world.sessions and is_old:
                running = self.prompt(name, body)
                if running is not None:
                    running.join(TIMEOUT)
                self.answer(200, {"info": {}, "parts": []})
            case ["session", name, "abort"]:
                if name in world.turns:
                    world.turns[name].is_aborted.set()
                self.answer(200, True)
            case ["session", _, "permissions", name]:
                self.settled(world.answer(name, body, "replied", response=body.get("response")))
            case [("permission" | "question"), name, what] if not is_old:
                rest = {key: body[key] for key in ("reply", "answers") if key in body}
                word = "replied" if what == "reply" else "rejected"
                self.settled(world.answer(name, body, word, **rest))
            case _:
                self.no_route()

    def settled(self, is_known: bool) -> None:
        """Answer to an answer."""
        if is_known:
            self.answer(200, True)
        else:
            self.answer(404, {"name": "NotFoundError", "data": {"message": "no such request"}})

    def prompt(self, session: str, body: Body) -> threading.Thread | None:
        """Take a prompt: as the next turn, or into the one that goes on."""
        world = self.world
        words = body["parts"][0]["text"]
        message = {
            "id": world.name("msg"),
            "sessionID": session,
            "role": "user",
            "time": {"created": 1},
        }
        message["sent"] = {name: body.get(name) for name in ("model", "agent")}
        world.put_message(session, message)
        names = {"sessionID": session, "messageID": message["id"]}
        world.put_part({"id": world.name("prt"), **names, "type": "text", "text": words})
        turn = world.turns.get(session)
        if turn is not None:
            turn.heard.put(words)
            return None
        turn = world.turns[session] = Turn(world, session)
        running = threading.Thread(target=turn.run, args=(words,), daemon=True)
        running.start()
        return running

    def stream(self) -> None:
        """Tell what happens, to somebody who listens."""
        self.world.may_listen.wait(TIMEOUT)
        events: queue.Queue[bytes | None] = queue.Queue()
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        first = {"id": "evt_0", "type": "server.connected", "properties": {}}
        with self.world.lock:
            events.put(b"data: %s\n\n" % json.dumps(first).encode())
            self.world.listeners.append(events)
        while (data := events.get()) is not None:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")
        self.close_connection = True


def serve() -> int:
    """Be a server."""
    if ODD == "broken":
        print("Error: the configuration cannot be read", file=sys.stderr)
        return 1
    if ODD == "deaf":
        time.sleep(TIMEOUT)
    world = Handler.world = World()
    world.sessions["ses_before"] = {"id": "ses_before", "title": "From before"}
    message = {
        "id": "msg_before",
        "sessionID": "ses_before",
        "role": "user",
        "time": {"created": 1},
    }
    world.messages["ses_before"] = [{"info": message, "parts": []}]
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    print("opencode stand-in, ready soon")
    print(f"opencode server listening on http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()
    return 0


class Printing(World):
    """Prints what ``opencode run`` prints of a turn."""

    words: Mapping[str, Callable[[Body], bool]] = {
        "text": lambda part: bool(part["time"].get("end")),
        "tool": lambda part: part["state"]["status"] in ("completed", "error"),
        "step-start": lambda part: True,
        "step-finish": lambda part: True,
    }
    names: Mapping[str, str] = {"tool": "tool_use"}
    has_failed = False

    def publish(self, kind: str, **properties: Any) -> None:
        """Print it, if it is printed."""
        session = properties.get("sessionID")
        if kind == "session.error":
            self.has_failed = True
            self.line("error", session, error=properties["error"])
        if kind != "message.part.updated":
            return
        part = properties["part"]
        if part["type"] in self.words and self.words[part["type"]](part):
            name = part["type"].replace("-", "_")
            self.line(self.names.get(name, name), session, part=part)

    def line(self, kind: str, session: Any, **rest: Any) -> None:
        """Print a line."""
        print(json.dumps({"type": kind, "timestamp": 1, "sessionID": session, **rest}), flush=True)

    def ask(self, word: str, request: Body) -> Body:
        """Refuse."""
        words = f"permission requested: {request['permission']}; auto-rejecting"
        print(f"\033[93m\033[1m! \033[0m{words}", file=sys.stderr)
        return {"reply": "reject"}


def run(arguments: list[str]) -> int:
    """Be one run."""
    sys.stdin.read()
    world = Printing()
    session = next(
        (each.partition("=")[2] for each in arguments if each.startswith("--session=")), ""
    )
    if session:
        world.sessions[session], world.messages[session] = {}, []
    session = session or world.create()["id"]
    Turn(world, session).run(arguments[arguments.index("--") + 1])
    return int(world.has_failed)


if __name__ == "__main__":
    sys.exit(run(sys.argv[2:]) if sys.argv[1] == "run" else serve())
