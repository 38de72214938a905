"""Does every row of the worker protocol name a test that there is?"""

import re
from pathlib import Path

_ROOT = Path(__file__).parents[2]
_PAGE = (_ROOT / "docs" / "worker-protocol.md").read_text(encoding="utf-8")


def test_each_row_names_its_tests() -> None:
    """A row without one is a promise that nobody holds."""
    rows = [
        line
        for line in _PAGE.splitlines()
        if line.startswith("| ") and not line.startswith("| what")
    ]
    assert len(rows) > 25
    assert [row for row in rows if not re.search(r"`test_\w+`[^|]*\|$", row)] == []


def test_the_tests_are_there() -> None:
    """Renaming a test renames it on the page."""
    named = set(re.findall(r"`(test_\w+)`", _PAGE))
    there = {
        name
        for file in (_ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^(?:async )?def (test_\w+)", file.read_text(), re.MULTILINE)
    }
    assert named - there == set()
