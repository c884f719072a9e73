"""The house flows one way: what each room may import, held to by walking all imports."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "loki_twisted"
MODULES = sorted(PACKAGE.rglob("*.py"))

MAY_IMPORT = {
    "model": set(),
    "kernel": set(),
    "log": {"model", "kernel"},
    "agents": {"model", "kernel"},
    "state": {"model", "kernel"},
    "client": {"model", "kernel"},
    "access": {"model", "kernel"},
    "operation": {"model", "kernel"},
    "stream": {"model", "kernel", "log.interface"},
    "sessions": {
        "model",
        "kernel",
        "log.interface",
        "agents.driving",
        "agents.interface",
        "agents.outputs",
        "state.interface",
    },
    "web": {"model", "kernel", "access", "stream", "log.interface", "sessions.interface"},
}
"""By room, which others it may import, or which module of another."""

TOP = {
    "",
    "__main__",
    "certificates",
    "command",
    "endpoints",
    "listening",
    "policies",
    "premises",
    "readings",
    "rooms",
    "service",
    "settings",
    "tap",
    "vitals",
    "watching",
}
"""Where everything may be imported."""


def name_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path: Path) -> Iterator[tuple[str, bool]]:
    """All that a module imports, absolute, and whether that happens when it is imported itself."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    late = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        or (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node not in late
        elif isinstance(node, ast.ImportFrom):
            package = ["loki_twisted", *path.relative_to(PACKAGE).parts[:-1]]
            base = package[: len(package) - node.level + 1] if node.level else []
            home = ".".join([*base, *([node.module] if node.module else [])])
            yield home, node not in late
            for alias in node.names:
                yield f"{home}.{alias.name}", node not in late


def is_within(name: str, place: str) -> bool:
    return name == place or name.startswith(place + ".")


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_each_room_imports_only_from_lower_ones(path: Path) -> None:
    """A module imports of ours only what its room may; late imports are no way around."""
    room = name_of(path).split(".")[0]
    if room in TOP:
        return
    allowed = {room} | MAY_IMPORT[room]
    for name, _ in imports_of(path):
        if not is_within(name, "loki_twisted") or name == "loki_twisted":
            continue
        ours = name.removeprefix("loki_twisted.")
        home = ours.split(".")[0]
        fits = any(is_within(ours, place) or is_within(place, ours) for place in allowed)
        assert fits or ours == "__version__", f"{path.name} imports {name} ({home})"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_the_reactor_is_a_parameter(path: Path) -> None:
    """Nobody chooses a reactor by being imported; only the web imports klein, which does."""
    room = name_of(path).split(".")[0]
    for name, at_import in imports_of(path):
        if is_within(name, "twisted.internet.reactor"):
            assert not at_import
            assert room in TOP | {"client"}, name  # there as a default, asked for late
        if is_within(name, "klein"):
            assert room == "web", name


def test_every_room_is_in_the_table() -> None:
    """A new room takes its place in the table before it can be imported."""
    rooms = {name_of(path).split(".")[0] for path in MODULES}
    assert rooms <= TOP | set(MAY_IMPORT)
