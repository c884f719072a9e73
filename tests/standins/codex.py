"""
A codex that plays what its prompt says: the first word names a scene, of those below.

It speaks ``codex app-server`` and ``codex exec --json``, and is strict: what it does not understand
it answers with an error. With ``--old`` before all else it knows no app-server, with
``--logged-out`` behind it there is no account.

Each turn of its thread counts 100 tokens that are read (80 of them from the cache) and 20 that are
written; one that is continued begins with ten times as many.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

THREAD = "0199a213-81c0-7800-8aa1-bbab2a035a53"
HUGE = 9 * 1024 * 1024
LONGEST = 120.0
"""Seconds after which nobody waits for it any more."""


def say(**line: Any) -> None:
    """Print a line."""
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


class Server:
    """The app-server."""

    def __init__(self, *, is_logged_in: bool) -> None:
        self.is_logged_in = is_logged_in
        self.lines = iter(sys.stdin.readline, "")
        self.thread = ""
        self.turn = ""
        self.turns = 0
        self.asked = 69
        self.total = 0
        self.sandbox = ""
        self.steered: list[str] = []
        self.answers: dict[int, dict[str, Any]] = {}
        self.is_interrupted = False
        self.lingers = False
        self.refuses_steering = False

    def run(self) -> int:
        """Serve until the input ends."""
        while self.pump():
            pass
        if self.lingers:
            time.sleep(LONGEST)
        return 0

    def pump(self) -> bool:
        """Take one line; False at the end of all."""
        line = next(self.lines, None)
        if line is None:
            return False
        message = json.loads(line)
        if "method" not in message:
            self.answers[message["id"]] = message
        elif "id" in message:
            self.called(message["id"], message["method"], message["params"])
        return True

    def called(self, call: int, method: str, params: dict[str, Any]) -> None:
        """Do what is asked for, or say that it cannot be done."""
        do = {
            "initialize": self.initialize,
            "account/read": self.account,
            "thread/start": self.start,
            "thread/resume": self.resume,
            "turn/start": self.begin,
            "turn/steer": self.steer,
            "turn/interrupt": self.interrupt,
        }.get(method)
        if do is None:
            say(id=call, error={"code": -32600, "message": f"Invalid request: {method}"})
            return
        try:
            do(call, params)
        except (KeyError, ValueError) as error:
            say(id=call, error={"code": -32600, "message": f"invalid request: {error}"})

    def initialize(self, call: int, params: dict[str, Any]) -> None:
        if not params["clientInfo"]["name"]:
            raise ValueError("no name")
        say(id=call, result={"userAgent": "codex/0.169.0", "codexHome": "/home/.codex"})

    def account(self, call: int, params: dict[str, Any]) -> None:
        account = {"type": "apiKey"} if self.is_logged_in else None
        say(id=call, result={"account": account, "requiresOpenaiAuth": True})

    def start(self, call: int, params: dict[str, Any]) -> None:
        self.thread = THREAD
        self.open(call, params)
        say(method="thread/started", params={"thread": {"id": self.thread, "turns": []}})

    def resume(self, call: int, params: dict[str, Any]) -> None:
        if params["threadId"] == "lost":
            raise ValueError("no rollout found for thread id lost")
        self.thread = params["threadId"]
        self.total = 1000
        self.open(call, params)
        self.count()

    def open(self, call: int, params: dict[str, Any]) -> None:
        self.sandbox = params["sandbox"]
        if self.sandbox not in {"read-only", "workspace-write"}:
            raise ValueError(self.sandbox)
        thread = {"id": self.thread, "turns": [], "preview": ""}
        model = params.get("model") or "gpt-5.1-codex"
        say(id=call, result={"thread": thread, "model": model, "sandbox": {"type": self.sandbox}})

    def begin(self, call: int, params: dict[str, Any]) -> None:
        if params["threadId"] != self.thread or self.turn:
            raise ValueError("there is no such thread, or a turn is on")
        [text] = [each["text"] for each in params["input"] if each["type"] == "text"]
        self.turns += 1
        self.turn = f"turn_{self.turns}"
        self.is_interrupted = False
        turn = {"id": self.turn, "status": "inProgress", "items": [], "error": None}
        say(id=call, result={"turn": turn})
        say(method="turn/started", params={"threadId": self.thread, "turn": turn})
        SCENES.get(text.split()[0], repeat)(self, text)
        if self.turn:
            self.end()

    def steer(self, call: int, params: dict[str, Any]) -> None:
        if self.refuses_steering or params["expectedTurnId"] != self.turn:
            raise ValueError("no active turn to steer")
        self.steered += [each["text"] for each in params["input"]]
        say(id=call, result={"turnId": self.turn})

    def interrupt(self, call: int, params: dict[str, Any]) -> None:
        if params["turnId"] != self.turn:
            raise ValueError("no such turn")
        self.is_interrupted = True
        say(id=call, result={})

    def tell(self, method: str, **params: Any) -> None:
        """Notify of something in the turn."""
        say(method=method, params={"threadId": self.thread, "turnId": self.turn, **params})

    def item(self, kind: str, number: int, **members: Any) -> None:
        """Tell an item that is done, which has begun just before."""
        item = {"type": kind, "id": f"item_{number}", **members}
        self.tell("item/started", item={**item, "status": "inProgress"})
        self.tell("item/completed", item={**item, **({"status": "completed"} | members)})

    def message(self, text: str) -> None:
        """Say something, in pieces and as a whole."""
        for piece in (text[:3], text[3:]):
            self.tell("item/agentMessage/delta", itemId="said", delta=piece)
        self.tell("item/completed", item={"type": "agentMessage", "id": "said", "text": text})

    def ask(self, method: str, **params: Any) -> int:
        """Ask the client for something."""
        self.asked += 1
        params = {"threadId": self.thread, "turnId": self.turn, "itemId": "item_9", **params}
        say(id=self.asked, method=method, params=params)
        return self.asked

    def answer(self, asked: int) -> dict[str, Any]:
        """Wait for the answer."""
        while asked not in self.answers:
            if not self.pump():
                sys.exit(3)
        self.resolve(asked)
        return self.answers[asked]

    def resolve(self, asked: int) -> None:
        """Say that a request of ours is over."""
        say(
            method="serverRequest/resolved",
            params={"threadId": self.thread, "requestId": asked},
        )

    def count(self) -> None:
        """Tell what the thread has used."""
        used = {"inputTokens": self.total, "cachedInputTokens": self.total * 4 // 5}
        last = {"inputTokens": 100, "cachedInputTokens": 80, "outputTokens": 20}
        total = {**used, "outputTokens": self.total // 5, "reasoningOutputTokens": 0}
        self.tell("thread/tokenUsage/updated", tokenUsage={"total": total, "last": last})

    def end(self, status: str = "completed", error: dict[str, Any] | None = None) -> None:
        """End the turn."""
        self.total += 100
        self.count()
        turn = {"id": self.turn, "status": status, "items": [], "error": error}
        self.turn = ""
        say(method="turn/completed", params={"threadId": self.thread, "turn": turn})


Scene = Callable[[Server, str], None]


def repeat(server: Server, text: str) -> None:
    """Say what was said."""
    server.message(f"You said: {text}")


def plain(server: Server, _: str) -> None:
    """Think, run a command, change a file, say so."""
    server.tell("item/completed", item={"type": "reasoning", "id": "r", "summary": ["Look first"]})
    command = {"type": "commandExecution", "id": "c", "command": "ls", "cwd": "/w"}
    server.tell("item/started", item={**command, "status": "inProgress"})
    server.tell("item/commandExecution/outputDelta", itemId="c", delta="a.py\n")
    done = {"status": "completed", "aggregatedOutput": "a.py\n", "exitCode": 0}
    server.tell("item/completed", item={**command, **done})
    change = {"path": "a.py", "kind": {"type": "update", "move_path": None}, "diff": "+x = 1"}
    server.item("fileChange", 2, changes=[change])
    server.message("Done.")


def approve(server: Server, _: str) -> None:
    """Ask whether a command may be run."""
    command = {"type": "commandExecution", "id": "item_9", "command": "rm -r build"}
    server.tell("item/started", item={**command, "status": "inProgress"})
    asked = server.ask(
        "item/commandExecution/requestApproval", command="rm -r build", cwd="/w", reason="Tidy up"
    )
    decision = server.answer(asked)["result"]["decision"]
    status = "completed" if str(decision).startswith("accept") else "declined"
    server.tell("item/completed", item={**command, "status": status, "aggregatedOutput": ""})
    if decision == "cancel":
        server.end("interrupted")
        return
    server.message(f"It was {json.dumps(decision)}.")


def explain(server: Server, _: str) -> None:
    """Ask, and wait for words beside the answer."""
    asked = server.ask("item/commandExecution/requestApproval", command="rm -r build")
    decision = server.answer(asked)["result"]["decision"]
    while not server.steered:
        server.pump()
    server.message(f"It was {decision}: {server.steered[-1]}")


def files(server: Server, _: str) -> None:
    """Ask whether files may be changed."""
    changes = [{"path": name, "kind": {"type": "add"}, "diff": "+1"} for name in ("a.py", "b.py")]
    item = {"type": "fileChange", "id": "item_9", "changes": changes}
    server.tell("item/started", item={**item, "status": "inProgress"})
    answer = server.answer(server.ask("item/fileChange/requestApproval", reason=None))
    server.tell("item/completed", item={**item, "status": "completed"})
    server.message(f"It was {answer['result']['decision']}.")


def permissions(server: Server, _: str) -> None:
    """Ask for more permissions."""
    wanted = {"network": {"enabled": True}, "fileSystem": None}
    asked = server.ask("item/permissions/requestApproval", permissions=wanted, reason="To fetch")
    server.message(json.dumps(server.answer(asked)["result"], sort_keys=True))


def withdrawn(server: Server, _: str) -> None:
    """Ask, and want to know no longer."""
    asked = server.ask("item/commandExecution/requestApproval", command="make")
    server.resolve(asked)
    server.message("Never mind.")


def questions(server: Server, _: str) -> None:
    """Ask two questions at once."""
    options = [{"label": "Postgres", "description": "A server"}, {"label": "SQLite"}]
    first = {"id": "q1", "header": "DB", "question": "Which one?", "options": options}
    second = {"id": "q2", "header": "Name", "question": "What name?", "options": None}
    asked = server.ask(
        "item/tool/requestUserInput",
        questions=[{**first, "isOther": True}, second],
        autoResolutionMs=60000,
    )
    server.message(json.dumps(server.answer(asked)["result"], sort_keys=True))


def form(server: Server, _: str) -> None:
    """Let an MCP server ask for a form to be filled in."""
    schema = {
        "type": "object",
        "properties": {
            "port": {"type": "integer", "title": "Port", "default": 80},
            "kind": {"type": "string", "enum": ["http", "https"]},
            "open": {"type": "boolean"},
        },
        "required": ["port"],
    }
    asked = server.ask(
        "mcpServer/elicitation/request",
        serverName="web",
        mode="form",
        message="Where?",
        requestedSchema=schema,
    )
    server.message(json.dumps(server.answer(asked)["result"], sort_keys=True))


def plan(server: Server, _: str) -> None:
    """Keep a plan."""
    for first, second in (("inProgress", "pending"), ("completed", "inProgress")):
        steps = [{"step": "Test", "status": first}, {"step": "Mend", "status": second}]
        server.tell("turn/plan/updated", explanation=None, plan=steps)


def retry(server: Server, _: str) -> None:
    """Meet an error, and get over it."""
    error = {"message": "Reconnecting... 1/5", "codexErrorInfo": "serverOverloaded"}
    server.tell("error", error=error, willRetry=True)
    server.message("There again.")


def fail(server: Server, _: str) -> None:
    """Meet an error, and give up."""
    error = {"message": "401 Unauthorized", "codexErrorInfo": "unauthorized"}
    server.tell("error", error=error, willRetry=False)
    server.end("failed", error)


def limit(server: Server, _: str) -> None:
    """Meet the limit of the account."""
    window = {"usedPercent": 100, "windowDurationMins": 300, "resetsAt": 1_700_000_000}
    say(method="account/rateLimits/updated", params={"rateLimits": {"primary": window}})
    error = {"message": "You've hit your usage limit.", "codexErrorInfo": "usageLimitExceeded"}
    server.tell("error", error=error, willRetry=False)
    server.end("failed", error)


def vanish(server: Server, _: str) -> None:
    """End without a word."""
    sys.exit(0)


def crash(server: Server, _: str) -> None:
    """Say what is wrong, and end."""
    server.tell("error", error={"message": "The disk is full."}, willRetry=False)
    sys.stderr.write("thread 'main' panicked\n")
    sys.exit(0)


def linger(server: Server, _: str) -> None:
    """Be done, and do not end."""
    server.lingers = True
    server.message("Done.")


def noise(server: Server, _: str) -> None:
    """Print all sorts of things between the lines."""
    sys.stdout.write('Not JSON\n\n[1, 2]\n{"half": \n{}\n\x1b[31mred\x1b[0m\n')
    sys.stdout.write('{"method":"some/newThing","params":{"threadId":7}}\n')
    sys.stderr.write("2026-01-01T00:00:00Z  WARN codex_core: Slow down\n")
    server.item("somethingNew", 1)
    server.message("Done.")


def huge(server: Server, _: str) -> None:
    """Print a line of 9 MB."""
    item = {"type": "commandExecution", "id": "c", "command": "cat big", "status": "completed"}
    server.tell("item/completed", item={**item, "aggregatedOutput": "x\n" * (HUGE // 3)})
    server.message("Done.")


def steer(server: Server, _: str) -> None:
    """Wait for something to be said into the turn."""
    server.message("Working.")
    while not server.steered:
        server.pump()
    server.message(f"Also: {server.steered[-1]}")


def deaf(server: Server, _: str) -> None:
    """Let nothing be said into the turn, and end it when that was tried."""
    server.refuses_steering = True
    server.message("Working.")
    server.pump()


def wait(server: Server, _: str) -> None:
    """Work until it is interrupted."""
    server.message("Working.")
    while not server.is_interrupted:
        server.pump()
    server.end("interrupted")


def unknown(server: Server, _: str) -> None:
    """Ask for something that nobody has heard of."""
    answer = server.answer(server.ask("item/some/newRequest"))
    server.message(f"It was {answer['error']['code']}.")


def agents(server: Server, _: str) -> None:
    """Have a sub-agent do it, which asks too."""
    other = "agent-1"
    call = {"type": "collabAgentToolCall", "id": "s", "tool": "spawnAgent", "prompt": "Look"}
    told = {"senderThreadId": server.thread, "receiverThreadIds": [other], "agentsStates": {}}
    server.tell("item/completed", item={**call, **told, "status": "completed"})
    turn = {"id": "other_1", "status": "inProgress"}
    server.tell("turn/started", threadId=other, turn=turn)
    words = {"type": "agentMessage", "id": "o", "text": "I look."}
    server.tell("item/completed", threadId=other, item=words)
    asked = server.ask("item/commandExecution/requestApproval", threadId=other, command="ls")
    server.answer(asked)
    server.tell("turn/completed", threadId=other, turn={**turn, "status": "completed"})
    server.message("It has looked.")


SCENES: dict[str, Scene] = {
    each.__name__: each
    for each in (
        plain,
        approve,
        explain,
        files,
        permissions,
        withdrawn,
        questions,
        form,
        plan,
        retry,
        fail,
        limit,
        vanish,
        crash,
        linger,
        noise,
        huge,
        steer,
        deaf,
        wait,
        unknown,
        agents,
    )
}


def execute(arguments: list[str]) -> int:
    """Play ``codex exec``."""
    resumed = arguments[arguments.index("--") + 1] if "resume" in arguments else None
    if arguments[-1] != "-" or "--json" not in arguments:
        sys.stderr.write(f"error: unexpected argument {arguments[-1]!r}\n")
        return 2
    text = sys.stdin.read()
    sys.stderr.write("Reading prompt from stdin...\n")
    say(type="thread.started", thread_id=resumed or THREAD)
    say(type="turn.started")
    scene = text.split()[0]
    for line in EXEC_SCENES.get(scene, exec_plain)():
        say(**line)
    total = 1100 if resumed else 100
    usage = {"input_tokens": total, "cached_input_tokens": 80, "output_tokens": 20}
    if scene in {"fail", "vanish"}:
        return 1 if scene == "fail" else 0
    say(type="turn.completed", usage=usage)
    return 0


def exec_plain() -> Iterator[dict[str, Any]]:
    """Do a bit of everything."""
    yield {"type": "item.completed", "item": {"id": "item_0", "type": "reasoning", "text": "Hm"}}
    command = {"id": "item_1", "type": "command_execution", "command": "bash -lc ls"}
    yield {"type": "item.started", "item": {**command, "status": "in_progress"}}
    done = {"aggregated_output": "a\n", "exit_code": 0, "status": "completed"}
    yield {"type": "item.completed", "item": {**command, **done}}
    todo = {"id": "item_2", "type": "todo_list", "items": [{"text": "Test", "completed": False}]}
    yield {"type": "item.started", "item": todo}
    todo["items"] = [{"text": "Test", "completed": True}]
    yield {"type": "item.updated", "item": todo}
    yield {"type": "error", "message": "Reconnecting... 1/5"}
    message = {"id": "item_3", "type": "agent_message", "text": "Done."}
    yield {"type": "item.completed", "item": message}


def exec_fail() -> Iterator[dict[str, Any]]:
    """Give up."""
    yield {"type": "error", "message": "401 Unauthorized"}
    yield {"type": "turn.failed", "error": {"message": "401 Unauthorized"}}


def exec_vanish() -> Iterator[dict[str, Any]]:
    """Say nothing more."""
    yield {"type": "error", "message": "The disk is full."}


EXEC_SCENES = {"plain": exec_plain, "fail": exec_fail, "vanish": exec_vanish}


def main(arguments: list[str]) -> int:
    """Play one of the two."""
    if arguments[0] == "--old":
        arguments = arguments[1:]
        if arguments[0] == "app-server":
            sys.stderr.write("error: unrecognized subcommand 'app-server'\n")
            return 2
    if arguments[0] == "exec":
        return execute(arguments[1:])
    return Server(is_logged_in="--logged-out" not in arguments).run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
