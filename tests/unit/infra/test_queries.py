"""Can the farm's KQL be run? By Microsoft's own analyzer, which knows the tables' columns."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.doubles import kusto

_ALERT = re.compile(r"name: '([\w-]+)'(?:(?!name:)[\s\S])*?query: '(.*)'")
_VARIABLE = re.compile(r"(?m)^var (\w+) = '(.*)'$")


@pytest.fixture(scope="module")
def queries(repository: Path) -> dict[str, str]:
    """Every query of alerts, workbook and pages, by where it stands."""
    alerts = (repository / "infra/bicep/modules/alerts.bicep").read_text()
    names = json.loads((repository / "infra/bicep/names.json").read_text())
    given = {f"names.{name}": str(value) for name, value in names.items()}
    given |= dict(_VARIABLE.findall(alerts))
    found = {f"alert {name}": _filled_in(text, given) for name, text in _ALERT.findall(alerts)}
    workbook = json.loads((repository / "infra/bicep/workbook.json").read_text())
    found |= {f"workbook {number}": text for number, text in enumerate(_of_workbook(workbook))}
    for page in sorted((repository / "docs").glob("*.md")):
        for number, text in enumerate(re.findall(r"```kql\n([\s\S]*?)```", page.read_text())):
            found[f"{page.name} {number}"] = text
    return found


def _filled_in(text: str, given: Mapping[str, str]) -> str:
    """Put in what Bicep would; a parameter's name stands for itself."""
    return re.sub(r"\$\{([\w.]+)\}", lambda match: given.get(match[1], match[1]), text)


def _of_workbook(part: Any) -> Iterator[str]:
    children: Iterator[Any] = iter(part.values() if isinstance(part, dict) else part)
    if isinstance(part, dict) and isinstance(part.get("query"), str):
        yield part["query"]
    for child in children:
        if isinstance(child, dict | list):
            yield from _of_workbook(child)


def test_every_query_can_be_run(queries: dict[str, str]) -> None:
    """On a workspace whose tables have the columns that Microsoft documents."""
    of_alerts = [name for name in queries if name.startswith("alert ")]
    assert len(of_alerts) == 8
    assert len(queries) > len(of_alerts) + 8
    assert {name: said for name, said in kusto.analyzed(queries).items() if said} == {}


def test_what_is_wrong_with_a_query_is_seen() -> None:
    """A column, a table or a bracket: the analyzer does look."""
    said = kusto.analyzed(
        {
            "column": "AppTraces | where Mesage == 'x'",
            "table": "AppTrace | take 1",
            "type": "AppTraces | where SeverityLevel >= 'x'",
            "bracket": "AppTraces | project Text = toint(Message",
            "right": "AppTraces | where TimeGenerated > ago(1h) | summarize count()",
        }
    )
    assert [name for name, problems in said.items() if not problems] == ["right"]
