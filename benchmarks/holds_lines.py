"""
How long one line of an agent, or one piece of short ones, may hold a server's reactor.

``python -m benchmarks.holds_lines`` has the driver of each provider read the worst lines that its
limits let through (a minute, 500 MB) and prints the processor time that it takes, with what it has
to remember; ``--json FILE`` writes it too, and ``--rst FILE`` for the documentation. *Busy* is what
the worst filling of a line takes, the least of some repetitions. What is longer than one read is
decoded, and its values are counted, as it comes: before, in other turns.
"""

from __future__ import annotations

import argparse
import gc
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from benchmarks.history_tables import Row, publish
from loki_twisted.agents.driving import IDriver
from loki_twisted.agents.interface import LaunchRequest
from loki_twisted.agents.lines import Cursor, cut_lines
from loki_twisted.agents.long_line import LongLine
from loki_twisted.agents.pieces import portion_of
from loki_twisted.agents.providers.plugins import installed_providers
from loki_twisted.agents.raw_output import MOST_AT_ONCE
from loki_twisted.agents.richness import VALUE_LIMIT

REPEATS: Final = 3
_SPARE: Final = 200

LINES: Final[Mapping[str, Mapping[str, str]]] = {
    "claude": {
        "of an unknown kind": '{"type":"nothing","x":%s}',
        "words": '{"type":"assistant","message":{"id":"m","content":[{"type":"text","text":%s}]}}',
        "a call": '{"type":"assistant","message":{"id":"m","content":[{"type":"tool_use","id":"t1",'
        '"name":"Bash","input":{"c":%s}}]}}',
        "parts": '{"type":"assistant","message":{"id":"m","content":%s}}',
        "a result": '{"type":"user","message":{"content":[{"type":"tool_result","tool_use_id":"t1",'
        '"content":%s}]}}',
        "a permission": '{"type":"control_request","request_id":"r","request":'
        '{"subtype":"can_use_tool","tool_name":"Bash","input":{"a":%s}}}',
        "usage": '{"type":"result","subtype":"success","usage":%s,"modelUsage":1}',
    },
    "codex": {
        "of an unknown kind": '{"method":"nothing","params":{"x":%s}}',
        "output": '{"method":"item/completed","params":{"threadId":"t","turnId":"u","item":'
        '{"type":"commandExecution","id":"i","aggregatedOutput":%s}}}',
        "a call": '{"method":"item/completed","params":{"threadId":"t","turnId":"u","item":'
        '{"type":"mcpToolCall","id":"i","arguments":%s,"result":1}}}',
        "an answer": '{"id":2,"result":{"thread":{"id":"a","turns":%s}}}',
        "a question": '{"id":7,"method":"item/tool/requestUserInput","params":{"questions":%s}}',
    },
    "codex-exec": {
        "words": '{"type":"item.completed","item":{"type":"agent_message","id":"1","text":%s}}',
        "a change": '{"type":"item.completed","item":{"type":"file_change","id":"1","changes":%s}}',
    },
    "acp": {
        "a call": '{"jsonrpc":"2.0","method":"session/update","params":{"sessionId":"s","update":'
        '{"sessionUpdate":"tool_call","toolCallId":"c","rawInput":%s}}}',
        "words": '{"jsonrpc":"2.0","method":"session/update","params":{"sessionId":"s","update":'
        '{"sessionUpdate":"agent_message_chunk","content":{"type":"text","text":%s}}}}',
        "a permission": '{"jsonrpc":"2.0","id":1,"method":"session/request_permission","params":'
        '{"sessionId":"s","toolCall":{"toolCallId":"c","rawInput":%s},"options":[]}}',
    },
    "cline": {
        "words": '{"type":"say","text":%s}',
        "an event": '{"type":"agent_event","event":{"type":"content","text":%s}}',
    },
    "opencode": {
        "words": '{"loki.bridge":"event","event":{"type":"message.part.updated","properties":'
        '{"part":{"type":"text","id":"p","text":%s}}}}',
        "a permission": '{"loki.bridge":"event","event":{"type":"permission.asked",'
        '"properties":{"id":"p","metadata":%s}}}',
    },
    "opencode-run": {"words": '{"type":"text","part":{"text":%s}}'},
    "aider": {"words": "%s"},
    "loki": {
        "an event": '{"type":"log:info","data":{"message":"m","context":%s}}',
        "a question": '{"type":"input:requested","data":{"prompt":"p","options":%s}}',
        "words": "[INFO] %s",
    },
}
"""By provider and by what they are; ``%s`` is filled with as much as may be."""


def texts(size: int) -> Iterator[str]:
    """Fill so many bytes with one text: of code, of sequences of terminals, of characters."""
    for piece in ('def f(a, b):\n    return "q"\n', "a\x1b]", "\x1b", "\x9b", "😀", "\\", "\n"):
        one = json.dumps(piece, ensure_ascii=False)[1:-1]
        yield f'"{one * (size // len(one.encode()))}"'
    # One character makes all others as wide as it is.
    yield f'"😀{"x" * (size - 6)}"'


def values(size: int, count: int) -> Iterator[str]:
    """Fill a line with so many values, in at most so many bytes."""
    for form, each in (("[%s]", "1"), ("[%s]", '{"k":{}}'), ("{%s}", '"key%d":1'), ("[%s]", "[]")):
        held = each.count("{") + each.count("[") + 1
        most = min(count // held, size // (len(each) + 6))
        yield form % ",".join(each % n if "%d" in each else each for n in range(most))
    yield "[" * 900 + "]" * 900


def fillings(driver: IDriver, line: str) -> Iterator[str]:
    """All fillings of a line, and one piece of short ones."""
    size = driver.line_limit - len(line) - _SPARE
    most = getattr(driver, "value_limit", VALUE_LIMIT) - _SPARE
    for filling in (*texts(size), *values(size, most)):
        yield line.replace("%s", filling) + "\n"
    for short in ('"x"', '"\\u001b]"'):
        yield (line.replace("%s", short) + "\n") * (MOST_AT_ONCE // (len(line) + 8))


def busy(make: Callable[[], IDriver], said: str) -> float:
    """Have a new driver read it; gives the milliseconds that it takes."""
    lines = given(make(), said.encode())
    taken = []
    for _ in range(REPEATS):
        driver = make()
        driver.begin()
        gc.collect()
        gc.freeze()
        began = time.thread_time()
        _read(driver, lines)
        taken.append(time.thread_time() - began)
    return min(taken) * 1000


def given(driver: IDriver, data: bytes) -> Sequence[str]:
    """What the tail of a spool makes of some bytes: a long line, or a piece of short ones."""
    limits = driver.line_limit, getattr(driver, "value_limit", VALUE_LIMIT)
    if len(data) <= MOST_AT_ONCE:
        return cut_lines(Cursor(), portion_of(data), limit=limits[0], value_limit=limits[1])[0]
    line = LongLine(*limits)
    for begin in range(0, len(data) - 1, MOST_AT_ONCE):
        line.add(data[begin : min(begin + MOST_AT_ONCE, len(data) - 1)])
    return [line.text(has_newline=True)]


def _read(driver: IDriver, lines: Sequence[str]) -> Sequence[object]:
    told = [output for line in lines for output in driver.line("stdout", line)]
    return [*told, driver.memory()]


def held_by(provider: str, line: str) -> float:
    """How long the worst filling of a line of a provider takes."""
    request = LaunchRequest(
        session_id="s",
        project_dir="/p",
        loki_dir="/p",
        provider=provider,
        prompt="Do it",
        command=["x"],
    )

    def make() -> IDriver:
        return installed_providers()[provider].driver(request, "")

    return max(busy(make, said) for said in fillings(make(), line))


async def lines_at_limits(only: str | None) -> list[Row]:
    """Read everything, or what one provider says."""
    return [
        Row(f"{provider}: {what}", {"busy": held_by(provider, line)})
        for provider, lines in LINES.items()
        if only in (None, provider)
        for what, line in lines.items()
    ]


def main() -> None:
    """Measure, print, and write what was asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().partition("\n")[0])
    parser.add_argument("--only", choices=[*LINES], help="what agents of this provider say")

    async def run(options: argparse.Namespace) -> dict[str, list[Row]]:
        return {"Lines of agents at their limits, ms": await lines_at_limits(options.only)}

    publish(parser, run)


if __name__ == "__main__":
    main()
