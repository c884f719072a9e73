"""Items of codex that are larger than what people can look at."""

from __future__ import annotations

from loki_twisted.agents.providers.codex_items import facts_of_item, paths_of_change
from loki_twisted.agents.providers.telling import MAIN


def test_a_change_of_very_many_files() -> None:
    """Of a thousand files the names are told, of others how many there are."""
    changes = [{"path": f"/{number}", "diff": "+", "kind": "add"} for number in range(1_500)]
    item = {"type": "fileChange", "id": "i", "changes": changes}
    assert paths_of_change(item).startswith("/0, /1, ")
    assert paths_of_change(item).endswith(", /999, and 500 more")
    [called, returned] = facts_of_item(item, MAIN, is_done=True, was_called=False) or ()
    assert '"count":1500' in str(called.data).replace(" ", "").replace("'", '"')
    assert str(returned.data).count("+") == 1_000
    few = {**item, "changes": changes[:2]}
    assert paths_of_change(few) == "/0, /1"
