"""A layout whose sightings hold no secrets."""

from __future__ import annotations

import json

from zope.interface.verify import verifyObject

from loki_twisted.model.redaction import Redactor
from loki_twisted.state.documented import DocumentedLayout
from loki_twisted.state.interface import TasksSighting
from loki_twisted.state.layout import ILayout
from loki_twisted.state.loki_mode import LokiModeLayout
from loki_twisted.state.redacted import RedactedLayout

TASKS = "sessions/session_1/tasks.json"


def test_it_says_what_the_other_says_without_secrets() -> None:
    """Texts in tasks are redacted wherever they stand; the rest is as it was."""
    layout = RedactedLayout(DocumentedLayout(), Redactor({}))
    task = {"id": "1", "title": "Use A_KEY=abc", "output": {"said": ["Bearer abc123def456"]}}
    (said,) = layout.sightings(TASKS, json.dumps([task]).encode())
    assert isinstance(said, TasksSighting)
    assert said.tasks[0].title == "Use A_KEY=***"
    assert said.tasks[0].output == {"said": ["Bearer ***"]}


def test_a_secret_behind_escapes() -> None:
    """What JSON hides in its escapes is found."""
    layout = RedactedLayout(DocumentedLayout(), Redactor({}))
    content = b'[{"id": "1", "title": "A_\\u004bEY=abc"}]'
    (said,) = layout.sightings(TASKS, content)
    assert isinstance(said, TasksSighting)
    assert said.tasks[0].title == "A_KEY=***"


def test_all_else_is_the_others() -> None:
    """Which files are read, and what they are, does not change."""
    for layout in (DocumentedLayout(), LokiModeLayout()):
        redacted = RedactedLayout(layout, Redactor({}))
        verifyObject(ILayout, redacted)
        for path in (TASKS, "PAUSE", "events.jsonl", "loki.pid", "x", "sessions/session_1"):
            assert redacted.rank(path) == layout.rank(path)
            assert redacted.session_of(path) == layout.session_of(path)
            assert redacted.gone(path) == layout.gone(path)
            assert redacted.is_marker(path) == layout.is_marker(path)
            assert redacted.is_log(path) == layout.is_log(path)
            assert redacted.facts(path, ["{}"]) == layout.facts(path, ["{}"])
