"""
The values that options of ``lokictl`` take, as the server knows them.

They stand here once more because what knows them takes long to load. A test compares.
"""

from __future__ import annotations

from typing import Final

PROVIDERS: Final = (
    *("demo", "claude", "codex", "gemini", "goose", "copilot", "cline", "aider", "opencode"),
    *("loki", "acp", "command", "replay", "codex-exec", "opencode-run"),
)
SESSION_STATUSES: Final = (
    *("queued", "starting", "running", "paused", "stopping", "stopped", "failed", "completed"),
)
TASK_STATUSES: Final = ("pending", "queued", "running", "completed", "failed", "skipped")
LEVELS: Final = ("debug", "info", "warn", "error")
GROUPINGS: Final = ("session", "turn", "project", "provider", "model", "day")
SCOPES: Final = ("read", "write", "admin")
EVENT_TYPES: Final = (
    *("session:*", "session:started", "session:paused", "session:resumed", "session:stopped"),
    *("session:completed", "session:failed", "session:updated", "session:stalled"),
    *("phase:*", "phase:started", "phase:completed", "phase:failed"),
    *("task:*", "task:created", "task:started", "task:progress", "task:completed", "task:failed"),
    *("agent:*", "agent:spawned", "agent:output", "agent:completed", "agent:failed"),
    *("log:*", "log:debug", "log:info", "log:warn", "log:error"),
    *("metrics:*", "metrics:update"),
    *("input:*", "input:requested", "input:answered", "input:withdrawn"),
    *("message:*", "message:queued", "message:delivered", "message:dropped"),
    "heartbeat",
)
"""The types of events, and their groups."""
