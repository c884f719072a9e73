"""A model on loopback for the real Claude Code: its answers are written down beforehand."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

Reply = list[dict[str, Any]]

_MOST_SIDE_TOOLS = 5
"""Requests of the program for itself (a title, say) bring hardly any tools."""


def text(words: str) -> dict[str, Any]:
    """Something that the model says."""
    return {"type": "text", "text": words}


def use(call: str, tool: str, **arguments: Any) -> dict[str, Any]:
    """A tool that the model uses."""
    return {"type": "tool_use", "id": call, "name": tool, "input": arguments}


class MessagesApi:
    """
    Answers each request for the conversation with the next reply, and all others with a word.

    Each reply is said to have cost 100 tokens in and 50 out.

    :ivar url: Of the API.
    """

    def __init__(self, replies: Iterable[Reply]) -> None:
        self._replies = list(replies)
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def reply_to(self, request: dict[str, Any]) -> Reply:
        """The answer to a request."""
        is_main = len(request.get("tools") or ()) > _MOST_SIDE_TOOLS
        with self._lock:
            return self._replies.pop(0) if is_main and self._replies else [text("ok")]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        api = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: Any) -> None:
                pass

            def do_GET(self) -> None:
                self.send_error(404)

            def do_HEAD(self) -> None:
                self.send_error(404)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                if not self.path.startswith("/v1/messages") or "count_tokens" in self.path:
                    self.send_error(404)
                    return
                request = json.loads(body)
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.end_headers()
                for event in events_of(api.reply_to(request), request.get("model")):
                    line = f"event: {event['type']}\ndata: {json.dumps(event)}\n\n"
                    self.wfile.write(line.encode())

        return Handler


def events_of(reply: Reply, model: Any) -> Iterable[dict[str, Any]]:
    """The stream that a reply comes as."""
    message = {
        "id": f"msg_{time.monotonic_ns()}",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 100, "output_tokens": 1},
    }
    yield {"type": "message_start", "message": message}
    for index, block in enumerate(reply):
        empty = {**block, "input": {}} if block["type"] == "tool_use" else {**block, "text": ""}
        yield {"type": "content_block_start", "index": index, "content_block": empty}
        if block["type"] == "tool_use":
            delta = {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
        else:
            delta = {"type": "text_delta", "text": block["text"]}
        yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    used = any(block["type"] == "tool_use" for block in reply)
    stop = {"stop_reason": "tool_use" if used else "end_turn", "stop_sequence": None}
    yield {"type": "message_delta", "delta": stop, "usage": {"output_tokens": 50}}
    yield {"type": "message_stop"}
