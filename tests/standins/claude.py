"""
A stand-in for ``claude`` in print mode, with JSON lines both ways, that thinks nothing.

What it does in a turn is named by the first word of what it is told that is in :data:`TURNS`, or by
``CLAUDE_STANDIN`` for all turns; else it is ``plain``. As the program that it stands for it stays
until its input ends, keeps its totals with the conversation in the directory that it runs in, and
ends with 1 if its last turn failed.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

MODEL = "claude-standin-1"
OTHER_MODEL = "claude-standin-small"
SHORT = 0.3
"""Seconds that something takes in the background, and that a limit lasts."""

HUGE = 7 * 1024 * 1024
TRANSCRIPTS = Path(".claude-standin")

Line = dict[str, Any]


class InputEnds(Exception):
    """The other side has closed our input in the middle of a turn."""


class Claude:
    """One run."""

    def __init__(self, arguments: list[str]) -> None:
        options = [each.partition("=")[::2] for each in arguments]
        self.options = dict(options)
        self.conversation = self.options.get("--resume") or str(uuid.uuid4())
        self.totals = {"turns": 0}
        self.tasks: list[Line] = []
        self.told: list[Line] = []
        self.is_error = False
        self.interrupted = False
        self._requests = 0
        self._lines: queue.SimpleQueue[Line | None] = queue.SimpleQueue()
        self._has_ended = False

    # What it is called with, and what it remembers

    def problem(self) -> str | None:
        """What the real one says of a command line that it does not take."""
        if "-p" not in self.options:
            return "Error: This stand-in knows print mode alone."
        if "--verbose" not in self.options:
            return "Error: When using --print, --output-format=stream-json requires --verbose"
        if self.options.get("--permission-mode") not in ("default", "plan"):
            return "error: option '--permission-mode <mode>' argument is invalid."
        return None

    def remember(self) -> bool:
        """Find the totals of a conversation that is continued; whether there are any."""
        path = TRANSCRIPTS / f"{self.conversation}.json"
        if "--resume" not in self.options:
            return True
        if not path.exists():
            return False
        self.totals = json.loads(path.read_text("utf-8"))
        return True

    # Lines out

    def print(self, kind: str, **fields: Any) -> None:
        line = {"type": kind, **fields, "session_id": self.conversation, "uuid": str(uuid.uuid4())}
        self.print_raw(json.dumps(line))

    def print_raw(self, text: str) -> None:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    def system(self, subtype: str, **fields: Any) -> None:
        self.print("system", subtype=subtype, **fields)

    def control(self, **fields: Any) -> None:
        self.print_raw(json.dumps(fields))

    def say(self, *blocks: Line, parent: str | None = None, **fields: Any) -> None:
        """One answer of the model comes in as many lines as it has parts."""
        reply = f"msg_{uuid.uuid4().hex[:12]}"
        for block in blocks:
            message = {"id": reply, "role": "assistant", "model": MODEL, "content": [block]}
            self.print("assistant", message=message, parent_tool_use_id=parent, **fields)

    def say_result(self, call: str, content: Any, parent: str | None = None, **fields: Any) -> None:
        is_error = fields.pop("is_error", False)
        block = {
            "type": "tool_result",
            "tool_use_id": call,
            "content": content,
            "is_error": is_error,
        }
        message = {"role": "user", "content": [block]}
        self.print("user", message=message, parent_tool_use_id=parent, **fields)

    def result(self, words: str = "Done.", **fields: Any) -> None:
        """The end of a turn, with totals of the conversation so far."""
        self.totals["turns"] += 1
        turns = self.totals["turns"]
        used = {
            "inputTokens": 100 * turns,
            "outputTokens": 50 * turns,
            "cacheReadInputTokens": 900 * turns,
            "cacheCreationInputTokens": 10 * turns,
            "costUSD": 0.01 * turns,
        }
        small = {"inputTokens": 7 * turns, "outputTokens": turns, "costUSD": 0.001 * turns}
        line = {
            "subtype": "success",
            "is_error": False,
            "result": words,
            "num_turns": 2,
            "total_cost_usd": 0.011 * turns,
            "usage": {"input_tokens": 107, "output_tokens": 51},
            "modelUsage": {MODEL: used, OTHER_MODEL: small},
            "permission_denials": [],
            "terminal_reason": "completed",
            **fields,
        }
        TRANSCRIPTS.mkdir(exist_ok=True)
        path = TRANSCRIPTS / f"{self.conversation}.json"
        path.write_text(json.dumps(self.totals), encoding="utf-8")
        self.is_error = bool(line["is_error"])
        self.print("result", **line)

    # Lines in

    def listen(self) -> None:
        """Read its input, in a thread of its own."""
        for text in sys.stdin:
            self._lines.put(json.loads(text))
        self._lines.put(None)

    def next_line(self, timeout: float | None = None) -> Line | None:
        """
        The next line that is not dealt with here.

        :returns: None if nothing comes in time.
        :raises InputEnds: if nothing will come.
        """
        while True:
            try:
                line = None if self._has_ended else self._lines.get(timeout=timeout)
            except queue.Empty:
                return None
            if line is None:
                self._has_ended = True
                raise InputEnds
            if line["type"] != "control_request":
                return line
            self._obey(line)
            if self.interrupted:
                return None

    def _obey(self, line: Line) -> None:
        subtype, response = line["request"]["subtype"], {}
        if subtype == "initialize":
            response = {"commands": [], "models": [], "account": {"email": "secret@example.org"}}
        elif subtype == "interrupt":
            self.interrupted = True
            response = {"still_queued": [each.get("uuid") for each in self.told]}
        body = {"subtype": "success", "request_id": line["request_id"], "response": response}
        self.control(type="control_response", response=body)

    def next_told(self) -> Line | None:
        """What it is told next; None at the end of its input."""
        if self.told:
            return self.told.pop(0)
        try:
            while (line := self.next_line()) is None or line["type"] != "user":
                self.interrupted = False
        except InputEnds:
            return None
        return line

    def ask(self, **request: Any) -> str:
        """Ask the other side; gives the name of the request."""
        self._requests += 1
        name = f"req-{self._requests}"
        self.control(type="control_request", request_id=name, request=request)
        return name

    def answers(self, *names: str) -> dict[str, Line]:
        """Wait for the answers to some requests, in whatever order they come."""
        found: dict[str, Line] = {}
        while set(found) < set(names):
            line = self.next_line()
            if line is None:
                continue
            if line["type"] == "user":
                self.told.append(line)
            elif line["type"] == "control_response":
                found[line["response"]["request_id"]] = line["response"]
                self.control(**line)  # It repeats these too.
        return found

    def may(self, tool: str, arguments: Line, call: str, **more: Any) -> Line:
        """Ask for a permission; gives what was answered."""
        name = self.ask(
            subtype="can_use_tool", tool_name=tool, input=arguments, tool_use_id=call, **more
        )
        return self.answers(name)[name]["response"]

    # Turns

    def run(self) -> int:
        """Live until its input ends; gives the exit code."""
        threading.Thread(target=self.listen, daemon=True).start()
        if not self.remember():
            words = f"No conversation found with session ID: {self.conversation}"
            self.print(
                "result", subtype="error_during_execution", is_error=True, num_turns=0,
                errors=[words], total_cost_usd=0, usage={}, modelUsage={},
            )  # fmt: skip
            return 1
        while (line := self.next_told()) is not None:
            try:
                self.turn(line)
            except InputEnds:
                return 1
            self.wake()
        for task in self.tasks:
            self.system("task_updated", task_id=task["task_id"], patch={"status": "killed"})
        return int(self.is_error)

    def turn(self, line: Line) -> None:
        """Do what it is told."""
        words = content_of(line)
        named = os.environ.get("CLAUDE_STANDIN") or next(
            (word for word in words.split() if word in TURNS), "plain"
        )
        if named == "slow":
            time.sleep(SHORT)
        self.interrupted = False
        self.begin()
        self.replay(line)
        TURNS[named](self, words)

    def begin(self) -> None:
        mode = self.options.get("--permission-mode")
        self.system(
            "init", cwd=str(Path.cwd()), model=self.options.get("--model", MODEL),
            permissionMode=mode, tools=["Bash"], claude_code_version="2.1.330-standin",
            mcp_servers=[{"name": "files", "status": "connected"}],
        )  # fmt: skip

    def replay(self, line: Line) -> None:
        """Confirm a line."""
        if "--replay-user-messages" in self.options:
            fields = {"message": line["message"], "isReplay": True}
            known = {"uuid": line["uuid"]} if "uuid" in line else {"uuid": str(uuid.uuid4())}
            self.print_raw(
                json.dumps({"type": "user", **fields, "session_id": self.conversation, **known})
            )

    def wake(self) -> None:
        """Where something goes on in the background, begin a turn by itself when it has ended."""
        while self.tasks:
            try:
                line = self.next_line(timeout=SHORT)
            except InputEnds:
                return
            if line is not None and line["type"] == "user":
                self.told.append(line)
                return
            ended, self.tasks = self.tasks, []
            for task in ended:
                self.system("task_updated", task_id=task["task_id"], patch={"status": "completed"})
            self.system("background_tasks_changed", tasks=[])
            for task in ended:
                self.system(
                    "task_notification", task_id=task["task_id"], tool_use_id=task["call"],
                    status="completed", summary=f"{task['description']} has ended",
                    output_file="",
                )  # fmt: skip
            self.begin()
            self.say(text("It has ended in the background."))
            self.result()


def content_of(line: Line) -> str:
    content = line["message"]["content"]
    return content if isinstance(content, str) else " ".join(each["text"] for each in content)


def text(words: str) -> Line:
    return {"type": "text", "text": words}


def use(call: str, tool: str, **arguments: Any) -> Line:
    return {"type": "tool_use", "id": call, "name": tool, "input": arguments}


def plain(claude: Claude, words: str) -> None:
    claude.say({"type": "thinking", "thinking": "Hm.", "signature": "x"}, text(f"You say: {words}"))
    claude.say(use("toolu_ls", "Bash", command="ls"))
    claude.say_result("toolu_ls", "a.txt\nb.txt")
    claude.say(text("There are two files."))
    claude.result("There are two files.")


def permission(claude: Claude, _: str) -> None:
    arguments = {"command": "rm -r build"}
    claude.say(use("toolu_rm", "Bash", **arguments))
    rule = {"toolName": "Bash", "ruleContent": "rm -r build"}
    suggested = {
        "type": "addRules",
        "rules": [rule],
        "behavior": "allow",
        "destination": "localSettings",
    }
    answer = claude.may("Bash", arguments, "toolu_rm", permission_suggestions=[suggested])
    _use_if_allowed(claude, "toolu_rm", "Bash", arguments, answer)


def _use_if_allowed(claude: Claude, call: str, tool: str, arguments: Line, answer: Line) -> None:
    if answer["behavior"] == "allow":
        used = answer.get("updatedInput") or arguments
        claude.say_result(call, f"used with {json.dumps(used)}")
        claude.say(text(f"Rules: {json.dumps(answer.get('updatedPermissions', []))}"))
        claude.result()
        return
    claude.say_result(call, answer["message"], is_error=True)
    denial = {"tool_name": tool, "tool_use_id": call, "tool_input": arguments}
    claude.result("I was not allowed to.", permission_denials=[denial])


def two(claude: Claude, _: str) -> None:
    """Two permissions are asked for at once."""
    names = [
        claude.ask(
            subtype="can_use_tool", tool_name="Write", input={"file_path": each},
            tool_use_id=f"toolu_{each}",
        )
        for each in ("a", "b")
    ]  # fmt: skip
    found = claude.answers(*names)
    behaviors = [found[each]["response"]["behavior"] for each in names]
    claude.say(text(f"Answers: {' '.join(behaviors)}"))
    claude.result()


def withdrawn(claude: Claude, _: str) -> None:
    name = claude.ask(
        subtype="can_use_tool", tool_name="Bash", input={"command": "ls"}, tool_use_id="toolu_w"
    )
    claude.control(type="control_cancel_request", request_id=name)
    claude.say(text("It is settled."))
    claude.result()


def questions(claude: Claude, _: str) -> None:
    arguments = {
        "questions": [
            {
                "question": "Which colour?",
                "header": "Colour",
                "options": [
                    {"label": "Red", "description": "Like a rose"},
                    {"label": "Blue", "description": "Like the sky"},
                ],
                "multiSelect": False,
            },
            {
                "question": "Which parts?",
                "header": "Parts",
                "options": [{"label": "Door"}, {"label": "Roof"}],
                "multiSelect": True,
            },
        ]
    }
    claude.say(use("toolu_q", "AskUserQuestion", **arguments))
    answer = claude.may("AskUserQuestion", arguments, "toolu_q")
    answers = answer["updatedInput"]["answers"]
    claude.say_result("toolu_q", "answered")
    claude.say(text(json.dumps(answers)))
    claude.result()


def plan(claude: Claude, _: str) -> None:
    arguments = {"plan": "1. Read\n2. Write"}
    claude.say(use("toolu_plan", "ExitPlanMode", **arguments))
    answer = claude.may("ExitPlanMode", arguments, "toolu_plan")
    _use_if_allowed(claude, "toolu_plan", "ExitPlanMode", arguments, answer)


def todo(claude: Claude, _: str) -> None:
    for number, (one, other) in enumerate(
        [("in_progress", "pending"), ("completed", "in_progress"), ("completed", "completed")]
    ):
        todos = [
            {"content": "Read", "status": one, "activeForm": "Reading"},
            {"content": "Write", "status": other, "activeForm": "Writing"},
        ]
        claude.say(use(f"toolu_t{number}", "TodoWrite", todos=todos))
        claude.say_result(f"toolu_t{number}", "Todos have been modified.")
    claude.result()


def tasks(claude: Claude, _: str) -> None:
    claude.say(use("toolu_c1", "TaskCreate", subject="Read", description="Read all"))
    claude.say_result("toolu_c1", "Task #1 created successfully: Read")
    claude.say(use("toolu_c2", "TaskCreate", subject="Write", description="Write all"))
    created = {"task": {"id": "2", "subject": "Write"}}
    claude.say_result("toolu_c2", "Task #2 created", tool_use_result=created)
    for call, arguments in (
        ("toolu_u1", {"taskId": "1", "status": "in_progress"}),
        ("toolu_u2", {"taskId": "1", "status": "completed"}),
        ("toolu_u3", {"taskId": "2", "status": "deleted"}),
    ):
        claude.say(use(call, "TaskUpdate", **arguments))
        claude.say_result(call, "Updated task")
    claude.result()


def helper(claude: Claude, _: str) -> None:
    claude.say(
        use("toolu_sub", "Task", subagent_type="Explore", description="Look", prompt="Look around")
    )
    claude.say(text("I look."), use("toolu_in", "Read", file_path="a"), parent="toolu_sub")
    claude.say_result("toolu_in", "text of a", parent="toolu_sub")
    claude.say_result("toolu_sub", [text("Nothing there.")])
    claude.say(text("It found nothing."))
    claude.result()


def background(claude: Claude, _: str) -> None:
    claude.say(
        use("toolu_bg", "Agent", subagent_type="Explore", description="Look", prompt="Look around")
    )
    task = {"task_id": "b1", "description": "Look", "call": "toolu_bg"}
    claude.system(
        "task_started", task_id="b1", tool_use_id="toolu_bg", description="Look",
        is_backgrounded=True, task_type="local_agent",
    )  # fmt: skip
    claude.tasks.append(task)
    listed = {"task_id": "b1", "task_type": "local_agent", "description": "Look"}
    claude.system("background_tasks_changed", tasks=[listed])
    claude.say_result(
        "toolu_bg", "Async agent launched", tool_use_result={"isAsync": True, "agentId": "b1"}
    )
    claude.say(text("It goes on in the background."))
    claude.result()


def lingers(claude: Claude, _: str) -> None:
    claude.result()
    while True:
        time.sleep(60)


def vanishes(claude: Claude, _: str) -> None:
    claude.say(text("I begin."))
    sys.stdout.flush()
    os._exit(0)


def error(claude: Claude, _: str) -> None:
    """An error that is called a success."""
    words = "API Error: 500 Internal server error"
    claude.say(text(words), error="server_error")
    claude.result(words, is_error=True)


def turns(claude: Claude, _: str) -> None:
    claude.say(text("I begin."))
    claude.result("", subtype="error_max_turns", is_error=True, terminal_reason="max_turns")


def login(claude: Claude, _: str) -> None:
    words = "Not logged in · Please run /login"
    claude.say(text(words), error="authentication_failed")
    claude.result(words, is_error=True, total_cost_usd=0, modelUsage={}, num_turns=1)


def noise(claude: Claude, _: str) -> None:
    claude.print_raw("[sandbox] debug line that is no JSON")
    claude.print_raw("")
    claude.print_raw("{half of an object")
    claude.print_raw('["a", "list"]')
    claude.print_raw('{"kind": "unknown to all"}')
    claude.print("from_the_future", data=1)
    claude.print_raw('{"type":"assistant","message":{"id":"m","content":[{"type":"text",'
                     '"text":"half a character: \\ud83d"}]}}')  # fmt: skip
    sys.stderr.write("a warning\n")
    sys.stderr.flush()
    claude.say(text("Between the noise."))
    claude.result()


def huge(claude: Claude, _: str) -> None:
    claude.say(use("toolu_big", "Read", file_path="big"))
    claude.say_result("toolu_big", "x" * HUGE)
    claude.say(text("That was much."))
    claude.result()


def limit(claude: Claude, words: str) -> None:
    if claude.totals.get("limited"):
        claude.say(text(f"On: {words}"))
        claude.result()
        return
    claude.totals["limited"] = 1
    info = {"status": "rejected", "resetsAt": int(time.time()) + 1, "rateLimitType": "five_hour"}
    claude.print("rate_limit_event", rate_limit_info=info)
    claude.say(text("You've hit your limit"), error="rate_limit")
    claude.result("You've hit your limit", is_error=True)


def retry(claude: Claude, _: str) -> None:
    claude.system(
        "api_retry", attempt=1, max_retries=10, retry_delay_ms=500, error_status=529,
        error="overloaded",
    )  # fmt: skip
    claude.say(text("Now it works."))
    claude.result()


def work(claude: Claude, _: str) -> None:
    """Work until it is interrupted; what it is told meanwhile is for the next turn."""
    claude.say(text("I work."))
    while not claude.interrupted:
        line = claude.next_line()
        if line is not None and line["type"] == "user":
            claude.told.append(line)
    claude.print("user", message={"role": "user", "content": [text("[Request interrupted]")]})
    claude.result(
        "", subtype="error_during_execution", is_error=True, terminal_reason="aborted_streaming"
    )


def steer(claude: Claude, _: str) -> None:
    """Work until it is told something, and take that into the turn."""
    claude.say(text("I work, and listen."))
    line: Line | None = None
    while line is None or line["type"] != "user":
        line = claude.next_line()
    claude.print_raw(
        json.dumps(
            {"type": "command_lifecycle", "command_uuid": line.get("uuid"), "state": "queued"}
        )
    )
    claude.replay(line)
    claude.say(text(f"I was told: {content_of(line)} ({line.get('priority')})"))
    claude.result()


def form(claude: Claude, _: str) -> None:
    schema = {
        "type": "object",
        "properties": {
            "name": {"type": "string", "title": "Your name"},
            "age": {"type": "integer"},
            "agreed": {"type": "boolean"},
        },
    }
    name = claude.ask(
        subtype="elicitation", mcp_server_name="files", message="Who are you?", mode="form",
        requested_schema=schema,
    )  # fmt: skip
    claude.say(text(json.dumps(claude.answers(name)[name]["response"])))
    claude.result()


def odd(claude: Claude, _: str) -> None:
    """Ask for what nobody has."""
    names = [
        claude.ask(subtype="request_user_dialog", dialog_kind="refusal", payload={}),
        claude.ask(subtype="hook_callback", callback_id="h1", input={}),
        claude.ask(subtype="mcp_message", server_name="none", message={}),
        claude.ask(subtype="oauth_token_refresh"),
    ]
    found = claude.answers(*names)
    claude.say(text(" ".join(found[each]["subtype"] for each in names)))
    claude.result()


TURNS: dict[str, Callable[[Claude, str], None]] = {
    each.__name__: each
    for each in (
        plain, permission, two, withdrawn, questions, plan, todo, tasks, helper, background,
        lingers, vanishes, error, turns, login, noise, huge, limit, retry, work, steer, form, odd,
    )
}  # fmt: skip
TURNS["slow"] = plain


def main() -> int:
    """Run."""
    claude = Claude(sys.argv[1:])
    problem = claude.problem()
    if problem is not None:
        print(problem, file=sys.stderr)
        return 1
    return claude.run()


if __name__ == "__main__":
    sys.exit(main())
