"""
The table of promises: that each row has its tests.

A test of a row carries its id: ``@pytest.mark.promise("R14")``. The rows, their tests and what was
measured stand in ``docs/reliability.rst``.
"""

from __future__ import annotations

from tests.registered import documented, marked

ROWS = {f"R{number}" for number in range(1, 30)}


def test_every_row_has_its_tests() -> None:
    """None is without one, and none is named that is not in the table."""
    assert set(marked("promise")) == ROWS


def test_the_document_names_them() -> None:
    """A reader finds the tests of a row there: all of them, and no others."""
    assert documented("reliability.rst", r"R\d+") == marked("promise")
