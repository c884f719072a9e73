"""
An agent that speaks the Agent Client Protocol: ``python acp_agent.py MANNER [ARGUMENT ...]``.

The manner says how it begins: ``plain`` can load sessions, ``late`` tells what was said before only
when it has answered, ``resuming`` can resume them too,
``forgetful`` neither; ``locked`` wants a login, ``future`` speaks another version, ``mute`` ends
without an answer. What it does in a turn is the first word of the prompt, a function of that name
below. It ends with the end of its input.
"""

from __future__ import annotations

import itertools
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Final, NoReturn

KNOWN_SESSION: Final = "sess-1"
COST_BEFORE: Final = 0.03
"""US dollars that a plain turn costs."""

HUGE: Final = 7 * 1024 * 1024

OPTIONS: Final = [
    {"optionId": "always", "name": "Always", "kind": "allow_always"},
    {"optionId": "yes", "name": "Yes", "kind": "allow_once"},
    {"optionId": "no", "name": "No", "kind": "reject_once"},
    {"optionId": "never", "name": "Never", "kind": "reject_always"},
]

_numbers = itertools.count(100)

modes = ["default"]
"""All modes that it was in, the newest last."""

stays = threading.Event()
"""Whether it stays when its input has ended."""


class Cancelled(Exception):
    """The turn is to end."""


def send(**message: Any) -> None:
    """Write a message."""
    print(json.dumps({"jsonrpc": "2.0", **message}), flush=True)


def receive() -> dict[str, Any]:
    """Read a message; end with the end of the input."""
    line = sys.stdin.readline()
    if not line:
        while stays.is_set():
            time.sleep(60)
        sys.exit(0)
    message: dict[str, Any] = json.loads(line)
    assert message.pop("jsonrpc") == "2.0"
    return message


def update(kind: str, /, **fields: Any) -> None:
    """Report something."""
    send(
        method="session/update",
        params={"sessionId": KNOWN_SESSION, "update": {"sessionUpdate": kind, **fields}},
    )


def say(text: str, kind: str = "agent_message_chunk") -> None:
    """Say something, in pieces."""
    for start in range(0, len(text), 5):
        update(kind, content={"type": "text", "text": text[start : start + 5]})


def call(call_id: str, **fields: Any) -> None:
    """Report something of the use of a tool."""
    update("tool_call_update", toolCallId=call_id, **fields)


def ask(method: str, **params: Any) -> int:
    """Ask for something; the answer is read by :func:`answers`."""
    number = next(_numbers)
    send(id=number, method=method, params={"sessionId": KNOWN_SESSION, **params})
    return number


def ask_permission(call_id: str, command: str) -> int:
    """Ask for the permission to run a command."""
    return ask(
        "session/request_permission",
        toolCall={
            "toolCallId": call_id,
            "title": f"Run {command}",
            "kind": "execute",
            "rawInput": {"command": command},
        },
        options=OPTIONS,
    )


def answers(*numbers: int) -> Iterator[tuple[int, dict[str, Any]]]:
    """
    Read the answers to some requests, as they come.

    :raises Cancelled: when the turn is cancelled and all have come.
    """
    missing = set(numbers)
    is_cancelled = False
    while missing or not numbers:
        message = receive()
        if message.get("method") == "session/cancel":
            is_cancelled = True
            if not numbers:
                break
        elif message.get("id") in missing:
            missing.remove(message["id"])
            yield message["id"], message
        else:
            raise AssertionError(message)
    if is_cancelled:
        raise Cancelled


# What it does in a turn: each returns why it stops, and may add to that.


def plain(_: str) -> dict[str, Any]:
    say("Let me think.", "agent_thought_chunk")
    steps = ["Look", "Write", "Test"]
    update("plan", entries=[{"content": s, "priority": "high", "status": "pending"} for s in steps])
    say("I look at the file.\n\n")
    update("tool_call", toolCallId="c1", title="Read a.py", kind="read", status="pending")
    call("c1", rawInput={"path": "a.py"}, status="in_progress")
    content = [{"type": "content", "content": {"type": "text", "text": "print(1)"}}]
    call("c1", status="completed", content=content)
    update(
        "plan",
        entries=[
            {"content": "Look", "priority": "high", "status": "completed"},
            {"content": "Write", "priority": "high", "status": "in_progress"},
            {"content": "Test", "priority": "high", "status": "pending"},
        ],
    )
    diff = {"type": "diff", "path": "a.py", "oldText": "print(1)", "newText": "print(2)"}
    update(
        "tool_call",
        toolCallId="c2",
        title="Edit a.py",
        kind="edit",
        status="in_progress",
        content=[diff],
        locations=[{"path": "a.py"}],
    )
    call("c2", status="completed")
    update("tool_call", toolCallId="c3", title="Test", kind="execute", rawInput={"command": "make"})
    call("c3", status="failed", content=[{"type": "terminal", "terminalId": "t1"}])
    update("usage_update", used=1000, size=200_000, cost={"amount": 0.02, "currency": "USD"})
    say("It is done.")
    update("usage_update", used=1200, size=200_000, cost={"amount": COST_BEFORE, "currency": "USD"})
    usage = {
        "totalTokens": 150,
        "inputTokens": 100,
        "outputTokens": 20,
        "cachedReadTokens": 30,
        "thoughtTokens": 5,
    }
    return {"stopReason": "end_turn", "usage": usage}


def permit(text: str) -> dict[str, Any]:
    command = text.partition(" ")[2] or "rm -r build"
    update("tool_call", toolCallId="p1", title=f"Run {command}", kind="execute", status="pending")
    ((_, answer),) = answers(ask_permission("p1", command))
    outcome = answer["result"]["outcome"]
    is_allowed = outcome.get("optionId") in ("yes", "always")
    call("p1", status="completed" if is_allowed else "failed", rawOutput=outcome)
    say(f"outcome {json.dumps(outcome)}")
    return {"stopReason": "end_turn"}


def two(_: str) -> dict[str, Any]:
    first, second = ask_permission("p1", "make"), ask_permission("p2", "make clean")
    for number, answer in answers(first, second):
        name = "first" if number == first else "second"
        say(f"{name} {json.dumps(answer['result']['outcome'])}\n\n")
    return {"stopReason": "end_turn"}


def form(_: str) -> dict[str, Any]:
    schema = {
        "type": "object",
        "properties": {
            "colour": {
                "type": "string",
                "title": "Which colour?",
                "oneOf": [{"const": "r", "title": "Red"}, {"const": "g", "title": "Green"}],
                "default": "g",
            },
            "count": {"type": "integer", "title": "How many?"},
        },
        "required": ["colour"],
    }
    number = ask("elicitation/create", mode="form", message="Please say", requestedSchema=schema)
    ((_, answer),) = answers(number)
    say(f"form {json.dumps(answer['result'])}")
    return {"stopReason": "end_turn"}


def withdraw(_: str) -> dict[str, Any]:
    number = ask_permission("p1", "make")
    send(method="$/cancel_request", params={"requestId": number})
    ((_, answer),) = answers(number)
    say(f"withdrawn {answer['error']['code']}")
    return {"stopReason": "end_turn"}


def wait(_: str) -> dict[str, Any]:
    say("I wait.\n\n")
    for _answer in answers():
        pass
    return {"stopReason": "end_turn"}


def ask_two_and_wait(_: str) -> dict[str, Any]:
    numbers = ask_permission("p1", "make"), ask_permission("p2", "make clean")
    given = [answer["result"]["outcome"]["outcome"] for _, answer in answers(*numbers)]
    raise AssertionError(given)


def refuse(_: str) -> dict[str, Any]:
    return {"stopReason": "refusal"}


def tokens(_: str) -> dict[str, Any]:
    return {"stopReason": "max_tokens"}


def requests(_: str) -> dict[str, Any]:
    return {"stopReason": "max_turn_requests"}


def crash(_: str) -> NoReturn:
    say("Something is")
    print("panic: at the disco", file=sys.stderr, flush=True)
    sys.exit(3)


def stay(_: str) -> dict[str, Any]:
    say("Done, but I stay.")
    stays.set()
    return {"stopReason": "end_turn"}


def noise(_: str) -> dict[str, Any]:
    say("Before. ")
    print("Loaded cached credentials.", file=sys.stderr, flush=True)
    for line in ("", "[warn] old node", "[1, 2]", '{"half": ', "null", '{"a": 1}', "\x1b[31mred"):
        print(line, flush=True)
    update("state_update", state="running")
    update("available_commands_update", availableCommands=[])
    send(method="_vendor/thing", params=[1])
    send(id=99_999, result={})
    sys.stdout.buffer.write(b"\xff\xfe broken\n")
    sys.stdout.flush()
    line = (
        '{"jsonrpc":"2.0","method":"session/update","params":{"update":{"sessionUpdate":'
        '"agent_message_chunk","content":{"type":"text","text":"Half \\ud83d of it. "}}}}'
    )
    print(line, flush=True)
    say("After.")
    return {"stopReason": "end_turn"}


def huge(_: str) -> dict[str, Any]:
    update("tool_call", toolCallId="c1", title="Look", kind="read", status="in_progress")
    content = [{"type": "content", "content": {"type": "text", "text": "x" * HUGE}}]
    call("c1", status="completed", content=content)
    return {"stopReason": "end_turn"}


def files(_: str) -> dict[str, Any]:
    numbers = ask("fs/read_text_file", path="/etc/passwd"), ask("terminal/create", command="sh")
    codes = [str(answer["error"]["code"]) for _, answer in answers(*numbers)]
    say(" ".join(codes))
    return {"stopReason": "end_turn"}


def broken(_: str) -> dict[str, Any]:
    raise ConnectionError("the model is overloaded")


def mode(_: str) -> dict[str, Any]:
    say(f"mode {modes[-1]}")
    return {"stopReason": "end_turn"}


def complain(_: str) -> dict[str, Any]:
    update("agent_message_chunk", content={"type": "text", "text": "Error: no route to model"})
    update("usage_update", used=1, size=2)
    return {"stopReason": "end_turn"}


def euros(_: str) -> dict[str, Any]:
    for amount in (1, 2):
        update("usage_update", used=1, size=2, cost={"amount": amount, "currency": "EUR"})
    return {"stopReason": "end_turn"}


def spend(_: str) -> dict[str, Any]:
    for amount in (COST_BEFORE + 0.25, COST_BEFORE + 1.0):
        update("usage_update", used=1, size=2, cost={"amount": amount, "currency": "USD"})
    counted = {"token_count": {"input_tokens": 40, "output_tokens": 2}}
    return {"stopReason": "end_turn", "_meta": {"quota": counted}}


TURNS: Final[dict[str, Callable[[str], dict[str, Any]]]] = {
    each.__name__: each
    for each in (
        *(plain, permit, two, form, withdraw, wait, ask_two_and_wait, refuse, tokens, requests),
        *(crash, stay, noise, huge, files, broken, euros, spend, mode, complain),
    )
}


def prompted(params: dict[str, Any]) -> dict[str, Any]:
    """Have a turn."""
    assert params["sessionId"] == KNOWN_SESSION
    (block,) = params["prompt"]
    assert block["type"] == "text"
    word = block["text"].partition(" ")[0]
    try:
        return TURNS.get(word, plain)(block["text"])
    except Cancelled:
        say("I leave off.")
        return {"stopReason": "cancelled"}


def load(params: dict[str, Any]) -> dict[str, Any]:
    """Go on from what was said, and tell all of it."""
    if sys.argv[1] != "late":
        tell_history()
    return resume(params)


def tell_history() -> None:
    """Tell what was said."""
    update("user_message_chunk", content={"type": "text", "text": "What I said before"})
    say("What I answered before.\n\n")
    update("tool_call", toolCallId="c1", title="Old", kind="read", status="completed")
    update("plan", entries=[{"content": "Old", "priority": "low", "status": "completed"}])
    update("usage_update", used=1, size=2, cost={"amount": COST_BEFORE, "currency": "USD"})


def resume(params: dict[str, Any]) -> dict[str, Any]:
    """Go on with what was said."""
    if params["sessionId"] != KNOWN_SESSION:
        raise LookupError(f"Invalid session identifier {params['sessionId']!r}")
    return {}


def greet(manner: str) -> dict[str, Any]:
    """Say what it can do."""
    if manner == "mute":
        sys.exit(1)
    capabilities: dict[str, Any] = {"loadSession": manner != "forgetful"}
    if manner == "resuming":
        capabilities["sessionCapabilities"] = {"resume": {}, "list": {}}
    return {
        "protocolVersion": 2 if manner == "future" else 1,
        "agentCapabilities": capabilities,
        "agentInfo": {"name": "stand-in", "version": "1"},
        "authMethods": [
            {"id": "login", "name": "Log in with a browser", "description": None},
            {"id": "key", "name": "Use a key"},
        ],
    }


def opened(params: dict[str, Any]) -> dict[str, Any]:
    """Begin a session."""
    assert params["mcpServers"] == []
    assert params["cwd"].startswith("/")
    modes = [{"id": "default", "name": "Default"}, {"id": "plan", "name": "Plan"}]
    return {
        "sessionId": KNOWN_SESSION,
        "models": {"currentModelId": "model-1"},
        "modes": {"currentModeId": "default", "availableModes": modes},
    }


def change_mode(params: dict[str, Any]) -> dict[str, Any]:
    """Take on another mode."""
    modes.append(params["modeId"])
    return {}


def main() -> int:
    """Speak the protocol."""
    manner = sys.argv[1]
    methods: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
        "initialize": lambda _: greet(manner),
        "session/new": opened,
        "session/load": load,
        "session/resume": resume,
        "session/prompt": prompted,
        "session/set_mode": change_mode,
    }
    while True:
        message = receive()
        if "id" not in message:
            continue
        if manner == "locked" and message["method"].startswith("session/"):
            error = {"code": -32000, "message": "Authentication required"}
            send(id=message["id"], error=error)
            continue
        try:
            result = methods[message["method"]](message["params"])
        except (LookupError, ConnectionError) as problem:
            error = {"code": -32603, "message": "Internal error", "data": {"details": str(problem)}}
            send(id=message["id"], error=error)
        else:
            send(id=message["id"], result=result)
            if message["method"] == "session/load":
                if manner == "late":
                    tell_history()
                update("available_commands_update", availableCommands=[])


if __name__ == "__main__":
    sys.exit(main())
