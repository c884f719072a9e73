"""What :mod:`benchmarks.tasks` asks."""

from __future__ import annotations

from typing import Final

QUESTIONS: Final = {
    "/health/live": "/health/live",
    "/health": "/health",
    "/api/status": "/api/status",
    "/api/sessions; 100": "/api/sessions?limit=100",
    "/api/sessions; all": "/api/sessions",
    "/api/sessions/:id": "/api/sessions/{session}",
    "/api/sessions/:id/tasks": "/api/sessions/{session}/tasks",
    "/api/sessions/:id/tasks; done": "/api/sessions/{session}/tasks?status=completed",
    "/api/sessions/:id/tasks/:taskId": "/api/sessions/{session}/tasks/{task}",
    "/api/tasks": "/api/tasks",
    "/api/tasks; 1,000": "/api/tasks?limit=1000",
    "/api/tasks; half": "/api/tasks?offset={half}",
    "/api/tasks; last": "/api/tasks?offset={last}",
    "/api/tasks; behind all": "/api/tasks?offset=1000000000",
    "/api/tasks; after half": "/api/tasks?after={cursor}",
    "/api/tasks; nearly all": "/api/tasks?status=completed",
    "/api/tasks; nearly all, half": "/api/tasks?status=completed&offset={half}",
    "/api/tasks; nearly all, after half": "/api/tasks?status=completed&after={cursor}",
    "/api/tasks; few": "/api/tasks?status=failed",
    "/api/tasks; none": "/api/tasks?status=skipped",
    "/api/tasks; two": "/api/tasks?status=pending,running",
    "/api/tasks; five, half": (
        "/api/tasks?status=pending,queued,running,completed,failed&offset={half}"
    ),
    "/api/tasks; every": "/api/tasks?status=pending,queued,running,completed,failed,skipped",
    "/api/tasks/active; all": "/api/tasks/active",
    "/api/tasks/active; 100": "/api/tasks/active?limit=100",
    "/api/tasks/queue; all": "/api/tasks/queue",
    "/api/tasks/queue; 100": "/api/tasks/queue?limit=100",
}
"""Targets by name. They are filled in with a session, a task, numbers and a cursor."""

ASKER: Final = """
import http.client, json, sys, threading, time
connection = None
def ask(target):
    began = time.perf_counter()
    connection.request("GET", target)
    response = connection.getresponse()
    body = response.read()
    seconds = time.perf_counter() - began
    if response.status != 200:
        raise SystemExit(f"{target}: {response.status} {body[:500]}")
    return seconds, body
def listen(port, target):
    stream = http.client.HTTPConnection("127.0.0.1", port)
    stream.request("GET", target)
    response = stream.getresponse()
    while response.read1(1 << 16):
        pass
for line in sys.stdin:
    port, target, count = json.loads(line)
    if connection is None:
        connection = http.client.HTTPConnection("127.0.0.1", port)
    if count == 0:
        threading.Thread(target=listen, args=(port, target), daemon=True).start()
        answer = None
    elif count is None:
        answer = json.loads(ask(target)[1])
    else:
        ask(target)
        times, size = [], 0
        for _ in range(count):
            seconds, body = ask(target)
            times.append(seconds)
            size = len(body)
        answer = times, size
    print(json.dumps(answer), flush=True)
"""
"""
A program that asks: so many times, or once for the answer itself (null), or for a stream (0).

Of each question the first answer does not count.
"""
