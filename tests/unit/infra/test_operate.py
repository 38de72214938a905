"""Each alert has its page in docs/operate.md, and rules and pictures ask for what there is."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import parser

from blendrop import ports
from blendrop.cli import program
from blendrop.domain import jobs, workers
from blendrop.usecases.farm import FarmNumbers
from container_worker.metrics import Metrics
from functions import api
from functions.farm_metrics import FarmMetrics
from infra.checks import bicep_folder

RULES = "infra/prometheus/rules.yaml"
DASHBOARD = "infra/grafana/blendrop.json"
BUDGET = "blendrop"
_SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum"), "gauge": ("",)}


@pytest.fixture(scope="module")
def rules(repository: Path) -> list[dict[str, Any]]:
    """The rules that Prometheus is given."""
    (group,) = yaml.safe_load((repository / RULES).read_text())["groups"]
    found: list[dict[str, Any]] = group["rules"]
    return found


@pytest.fixture(scope="module")
def sections(repository: Path) -> dict[str, tuple[set[str], set[str]]]:
    """What each section of the page is for: alerts of Prometheus, and of Azure."""
    text = (repository / "docs/operate.md").read_text()
    found = {}
    for part in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        title, _, below = part.partition("\n")
        told = re.match(r"Prometheus: (.*?) · Azure: (.*)", below)
        if told:
            names = (
                set(re.findall(r"`(blendrop[\w-]*|Blendrop\w*)`", one)) for one in told.groups()
            )
            found[title.lower().replace(" ", "-")] = (next(names), next(names))
    return found


def _azure_alerts(repository: Path) -> Iterator[tuple[str, str]]:
    """Yield the name and the text of each alert of the templates."""
    templates = bicep_folder.BicepFolder(repository / "infra/bicep")
    alerts = templates.module("alerts")
    listed = alerts.variables["logRules"].value
    assert isinstance(listed, list)
    for rule in listed:
        assert isinstance(rule, dict)
        yield f"blendrop-{rule['name']}", str(rule["text"])
    for resource in alerts.resources:
        if resource.type.endswith("metricAlerts"):
            properties = resource.body["properties"]
            assert isinstance(properties, dict)
            yield str(resource.body["name"]), str(properties["description"])


def test_every_alert_has_its_section_and_every_section_its_alert(
    repository: Path,
    rules: list[dict[str, Any]],
    sections: dict[str, tuple[set[str], set[str]]],
) -> None:
    """Those of Prometheus and those of Azure, and each leads to its section."""
    by_alert = {alert: title for title, (theirs, _) in sections.items() for alert in theirs}
    in_azure = {alert: title for title, (_, theirs) in sections.items() for alert in theirs}

    assert {one["alert"]: one["annotations"]["runbook"] for one in rules if "alert" in one} == {
        alert: f"docs/operate.md#{title}" for alert, title in by_alert.items()
    }
    assert dict(_azure_alerts(repository)).keys() | {BUDGET} == in_azure.keys()
    for alert, text in _azure_alerts(repository):
        assert text.endswith(f"docs/operate.md#{in_azure[alert]}"), alert


def test_a_section_says_what_it_means_where_to_look_and_what_to_do(
    repository: Path, sections: dict[str, tuple[set[str], set[str]]]
) -> None:
    """In that order, for somebody woken at night."""
    text = (repository / "docs/operate.md").read_text()
    for title in sections:
        heading = title.replace("-", " ").capitalize()
        _, _, section = text.partition(f"## {heading}\n")
        told = re.findall(r"^\*\*(\w+)\.\*\*", section.partition("\n## ")[0], re.MULTILINE)
        assert told == ["Means", "Look", "Do"], title


def _farm_text() -> str:
    """Return what the farm tells, with everything in it once."""
    numbers = FarmNumbers(
        queues=[ports.QueueDepth(f"{kind}", kind, 1) for kind in ports.QueueKind],
        oldest_waiting_seconds=1,
        open_jobs=dict.fromkeys(jobs.JobState, 1),
        jobs_failed=1,
        workers=dict.fromkeys(workers.WorkerState, 1),
        workers_waiting=1,
        workers_lost=1,
        workers_unfit=1,
    )
    return FarmMetrics(numbers, worker_hour_price=1, currency="USD").text().decode()


def _worker_text() -> str:
    """Return what a worker tells that has rendered something."""
    worker = Metrics()
    for histogram in (worker.frame_seconds, worker.load_seconds, worker.queue_wait):
        histogram.record(1)
    return worker.text().decode()


def _measured() -> set[str]:
    """Return the name of every series that a farm has."""
    return {
        family.name + suffix
        for text in (_farm_text(), _worker_text())
        for family in parser.text_string_to_metric_families(text)
        for suffix in _SUFFIXES.get(family.type, ("",))
    }


@pytest.mark.parametrize("file", [RULES, "infra/prometheus/rules.test.yaml", DASHBOARD])
def test_every_metric_that_is_asked_for_exists(repository: Path, file: str) -> None:
    """In the registry of the worker or of the farm; what rules record counts as well."""
    asked = re.findall(r"\bblendrop_\w+\b", (repository / file).read_text())

    assert len(set(asked)) > 5
    assert set(asked) <= _measured()


@pytest.mark.parametrize("file", [RULES, DASHBOARD])
def test_every_state_that_is_asked_for_exists(repository: Path, file: str) -> None:
    """An alert on a state that nothing ever is in would never be raised."""
    text = (repository / file).read_text().replace('\\"', '"')
    asked = re.findall(r'(blendrop_(?:jobs|workers))\{state="(\w+)"', text)

    for metric, state in asked:
        assert f'{metric}{{state="{state}"}}' in _farm_text()


def test_what_is_recorded_is_what_the_picture_shows(
    repository: Path, rules: list[dict[str, Any]]
) -> None:
    """By its name."""
    asked = set(re.findall(r"\bblendrop:\w+", (repository / DASHBOARD).read_text()))

    assert asked == {one["record"] for one in rules if "record" in one}


def test_every_panel_of_the_dashboard_has_its_place(repository: Path) -> None:
    """None lies over another, and each asks the source that the page chooses."""
    panels = json.loads((repository / DASHBOARD).read_text())["panels"]
    places = [
        (x, y)
        for panel in panels
        for place in [panel["gridPos"]]
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]

    assert len(places) == len(set(places))
    assert max(x for x, _ in places) < 24
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert {target["datasource"]["uid"] for one in panels for target in one["targets"]} == {
        "${source}"
    }


def test_prometheus_asks_where_the_farm_answers(repository: Path) -> None:
    """The path is one of the API, and the port the one that workers have in their image."""
    config = yaml.safe_load((repository / "infra/prometheus/prometheus.yaml").read_text())
    by_farm, by_workers = config["scrape_configs"]
    image = (repository / "container_worker/Dockerfile").read_text()

    assert by_farm["metrics_path"] in api.app.openapi()["paths"]
    assert f"BLENDROP_STATUS_PORT={by_workers['dns_sd_configs'][0]['port']} " in image
    assert config["rule_files"] == [Path(RULES).name]


def test_the_rules_are_wrapped_for_the_operator(
    repository: Path, rules: list[dict[str, Any]]
) -> None:
    """By the very lines of the page, with nothing applied."""
    page = (repository / "docs/operate.md").read_text()
    (lines,) = re.findall(
        r"^```sh\n(\{\n.*?)kubectl apply --filename -\n```", page, re.MULTILINE | re.DOTALL
    )

    made = subprocess.run(
        ["bash", "-c", f"{lines}cat"],
        cwd=repository,
        check=True,
        capture_output=True,
        text=True,
        timeout=10,
    )

    manifest = yaml.safe_load(made.stdout)
    assert manifest["kind"] == "PrometheusRule"
    assert manifest["spec"]["groups"][0]["rules"] == rules


@pytest.mark.parametrize("page", ["operate.md", "deploy.md"])
def test_commands_of_the_command_line_exist(repository: Path, page: str) -> None:
    """What is to be typed at night is there."""
    text = (repository / "docs" / page).read_text()
    asked = set(re.findall(r"(?:`|^)blendrop ([a-z]+)\b", text, re.MULTILINE))

    assert asked
    assert asked <= {one.name for one in program.app.registered_commands}
