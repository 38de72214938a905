"""Templates, image and code call the same things by the same names."""

from collections.abc import Callable
from pathlib import Path

import pytest

from blendrop import settings
from infra.checks import bicep_folder, code_agreement

FAULTS = [
    pytest.param(
        ("infra/bicep/names.json", '"render-batches"', '"batches"', "other-name"),
        id="wrong-queue-name",
    ),
    pytest.param(
        ("infra/bicep/names.json", '"scenes"', '"uploads"', "other-name"), id="wrong-container-name"
    ),
    pytest.param(
        ("infra/bicep/names.json", '"jobs"', '"renderjobs"', "other-name"), id="wrong-table-name"
    ),
    pytest.param(
        ("infra/bicep/names.json", '"ratelimits"', '"limits"', "other-name"),
        id="wrong-name-of-the-rate-limits-table",
    ),
    pytest.param(
        ("infra/bicep/names.json", '"scene-uploads-poison"', '"scene-uploads-dead"', "other-name"),
        id="poison-queue-that-the-host-would-not-use",
    ),
    pytest.param(
        (
            "infra/bicep/names.json",
            '"jobsTable"',
            '"dueJobsQueue": "announcements",\n  "jobsTable"',
            "other-name",
        ),
        id="queue-that-no-code-knows",
    ),
    pytest.param(
        (
            "functions/due_jobs.py",
            "queue_name=settings.DUE_JOBS_QUEUE",
            'queue_name="due-jobs"',
            "name-again",
        ),
        id="queue-whose-name-stands-twice",
    ),
    pytest.param(
        ("infra/bicep/modules/data-storage.bicep", "  names.poisonQueue\n", "", "not-made"),
        id="queue-that-is-never-made",
    ),
    pytest.param(
        (
            "infra/bicep/modules/function-app.bicep",
            "BLENDROP_FRAME_SHARE:",
            "BLENDROP_FRAMES_SHARE:",
            "other-variable",
        ),
        id="variable-that-nothing-reads",
    ),
    pytest.param(
        (
            "infra/bicep/modules/function-app.bicep",
            "      BLENDROP_NEWEST_BLENDER: newestBlender\n",
            "",
            "other-variable",
        ),
        id="variable-that-is-missing",
    ),
    pytest.param(
        (
            "infra/bicep/modules/worker.bicep",
            "'BLENDROP_STORAGE__queueServiceUri'",
            "'BLENDROP_STORAGE__queueUri'",
            "other-variable",
        ),
        id="connection-without-its-queue-service",
    ),
    pytest.param(
        (
            "infra/bicep/modules/worker.bicep",
            "'APPLICATIONINSIGHTS_CONNECTION_STRING'",
            "'APPINSIGHTS_CONNECTION_STRING'",
            "other-variable",
        ),
        id="worker-whose-spans-go-nowhere",
    ),
    pytest.param(
        (
            "container_worker/Dockerfile",
            "BLENDROP_STATUS_PORT=8080",
            "BLENDROP_STATUS_PORT=8081",
            "other-port",
        ),
        id="image-that-opens-another-port",
    ),
    pytest.param(
        ("infra/bicep/modules/worker.bicep", "'/healthz'", "'/livez'", "other-port"),
        id="probe-that-nobody-answers",
    ),
    pytest.param(
        (
            "container_worker/Dockerfile",
            'ENV BLENDROP_BLENDERS="${BLENDROP_BLENDERS}"',
            'ENV BLENDERS="${BLENDROP_BLENDERS}"',
            "other-variable",
        ),
        id="image-that-names-no-blender",
    ),
    pytest.param(
        (
            "local.settings.example.json",
            '"BLENDROP_SCRATCH": "/tmp',
            '"SCRATCH": "/tmp',
            "other-variable",
        ),
        id="variable-that-no-example-explains",
    ),
    pytest.param(
        ("infra/bicep/modules/alerts.bicep", '"job_failed"', '"job_fell"', "other-event"),
        id="alert-on-an-event-that-no-code-logs",
    ),
    pytest.param(
        (
            "infra/bicep/modules/alerts.bicep",
            '"waiting", "storage_unavailable"',
            '"waiting", "storage_away"',
            "other-event",
        ),
        id="alert-on-events-of-which-no-code-logs-one",
    ),
    pytest.param(
        ("infra/bicep/workbook.json", "'frame_done'", "'frame_finished'", "other-event"),
        id="chart-of-an-event-that-no-code-logs",
    ),
    pytest.param(
        ("container_worker/Dockerfile", "USER 10001:10001", "USER 10002:10002", "other-user"),
        id="image-whose-user-may-not-write-to-the-share",
    ),
    pytest.param(
        (
            "host.json",
            '"messageEncoding": "none"',
            '"messageEncoding": "base64"',
            "other-encoding",
        ),
        id="host-that-reads-our-messages-as-something-else",
    ),
    pytest.param(
        (
            "infra/bicep/modules/function-app.bicep",
            "version: '3.11'",
            "version: '3.13'",
            "other-python",
        ),
        id="another-python",
    ),
]


def _rules(root: Path) -> set[str]:
    templates = bicep_folder.BicepFolder(root / "infra/bicep")
    return {finding.rule for finding in code_agreement.broken(root, templates)}


def test_templates_image_and_code_agree(repository: Path) -> None:
    """No name, variable, event or version is one thing here and another there."""
    templates = bicep_folder.BicepFolder(repository / "infra/bicep")

    assert list(code_agreement.broken(repository, templates)) == []


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_disagreement_is_found(
    copied: Path,
    plant: Callable[[str, str, str], None],
    fault: tuple[str, str, str, str],
) -> None:
    """A name that differs in one place is found."""
    file, old, new, rule = fault
    plant(file, old, new)

    assert rule in _rules(copied)


@pytest.mark.parametrize(
    ("kind", "variables"),
    [
        (settings.FunctionSettings, code_agreement.function_variables),
        (settings.WorkerSettings, code_agreement.worker_variables),
    ],
    ids=["functions", "worker"],
)
def test_the_code_takes_the_variables_that_azure_gives(
    repository: Path,
    kind: type[settings.Settings],
    variables: Callable[[bicep_folder.BicepFolder], dict[str, object]],
) -> None:
    """Literal values are read as they stand; what is known only in Azure is stood in for."""
    templates = bicep_folder.BicepFolder(repository / "infra/bicep")
    given = {
        name: value if isinstance(value, str) else _stand_in(name)
        for name, value in variables(templates).items()
    }
    given.setdefault("BLENDROP_BLENDERS", "5.0=/opt/blender/5.0/bin/python")

    read = settings.read(kind, given)

    assert read.storage.address("queue") == "https://account.queue.core.windows.net/"


def test_a_name_that_only_the_code_knows_is_found(
    copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A queue added to settings.py has to be added to the templates."""
    monkeypatch.setattr(settings, "NEW_QUEUE", "new-messages", raising=False)
    templates = bicep_folder.BicepFolder(copied / "infra/bicep")

    (finding,) = code_agreement.broken(copied, templates)

    assert "newQueue is None, and settings.py says 'new-messages'" in str(finding)


def _stand_in(name: str) -> str:
    service = name.partition("__")[2].removesuffix("ServiceUri")
    if name.endswith("ServiceUri"):
        return f"https://account.{service}.core.windows.net/"
    given = {
        "BLENDROP_AUTH": "entra",
        "BLENDROP_ENTRA_AUDIENCE": "api://blendrop",
        "BLENDROP_ENTRA_AUTHORITY": "https://login.microsoftonline.com/",
        "BLENDROP_ENTRA_TENANT": "11111111-2222-3333-4444-555555555555",
        "BLENDROP_NEWEST_BLENDER": "5.0",
        "BLENDROP_IDLE_SECONDS": "60",
        "BLENDROP_TRACE_SHARE": "0.25",
        "BLENDROP_CYCLES_DEVICE": "CUDA",
        "BLENDROP_PRICES": '{"worker_hour": 1.25}',
    }
    return given.get(name, "8")
