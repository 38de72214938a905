"""Which functions does the app hold, as the host reads them?"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from blendrop import settings

_ROOT = Path(__file__).parents[3]
_READ = """
import json, function_app
print(json.dumps([[one.get_function_name(), json.loads(one.get_function_json())["bindings"]]
                  for one in function_app.app.get_functions()]))
"""
GIVEN = {
    "BLENDROP_STORAGE": "UseDevelopmentStorage=true",
    "BLENDROP_FRAME_SHARE": "/frames",
    "BLENDROP_NEWEST_BLENDER": "5.0",
}


def read(**given: str) -> subprocess.CompletedProcess[str]:
    """Index the app in a process of its own, with this environment."""
    return subprocess.run(
        [sys.executable, "-c", _READ],
        cwd=_ROOT,
        env={"PATH": os.environ["PATH"], **given},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("door", "function", "trigger"),
    [
        ("poll", "scene_uploaded", {"type": "blobTrigger", "path": "scenes/{name}"}),
        (
            "event-grid",
            "scene_upload_event",
            {"type": "queueTrigger", "queueName": settings.UPLOADS_QUEUE},
        ),
    ],
)
def test_there_is_one_door_for_uploads(door: str, function: str, trigger: dict[str, str]) -> None:
    """The setting chooses; the other functions are always there."""
    found = dict(json.loads(read(BLENDROP_UPLOADS_DOOR=door, **GIVEN).stdout))
    assert set(found) == {function, "attend_due_job", "sweep", "http_app_func"}
    binding = found[function][0]
    assert trigger.items() <= binding.items()
    assert binding["connection"] == settings.STORAGE_CONNECTION
    assert found["http_app_func"][0]["authLevel"] == "FUNCTION"


_LOADED = """
import sys, function_app
sdks = ("azure.storage", "azure.data", "azure.identity", "aiohttp", "OpenImageIO")
print(",".join(sorted(one for one in sdks if one in sys.modules)))
"""


def test_a_cold_start_loads_no_sdk_that_its_first_call_may_not_need() -> None:
    """They take longer to load than everything else; in Azure none is there before its use."""
    environment = {"PATH": os.environ["PATH"], "BLENDROP_UPLOADS_DOOR": "event-grid", **GIVEN}
    loaded = subprocess.run(
        [sys.executable, "-c", _LOADED],
        cwd=_ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert loaded.stdout.strip() == ""


ENTRA = {
    "BLENDROP_AUTH": "entra",
    "BLENDROP_ENTRA_TENANT": "11111111-2222-3333-4444-555555555555",
    "BLENDROP_ENTRA_AUDIENCE": "api://blendrop",
}


@pytest.mark.parametrize("proof", [ENTRA, {"BLENDROP_AUTH": "anonymous"}], ids=["entra", "none"])
def test_the_host_asks_for_no_key_where_none_is_the_proof(proof: dict[str, str]) -> None:
    """The app itself looks at tokens."""
    found = dict(json.loads(read(**GIVEN, **proof).stdout))
    assert found["http_app_func"][0]["authLevel"] == "ANONYMOUS"


def test_a_farm_in_azure_is_not_left_open() -> None:
    """It does not even start, and says why."""
    ended = read(
        **{**GIVEN, "BLENDROP_STORAGE": "", "BLENDROP_STORAGE__accountName": "farm"},
        BLENDROP_AUTH="anonymous",
    )
    assert ended.returncode != 0
    assert "BLENDROP_AUTH 'anonymous'" in ended.stderr
    assert "Give function-key or entra" in ended.stderr


def test_missing_settings_are_all_named() -> None:
    """The log of a start that failed says what to set."""
    ended = read()
    assert ended.returncode != 0
    for name in ("BLENDROP_STORAGE", "BLENDROP_FRAME_SHARE", "BLENDROP_NEWEST_BLENDER"):
        assert name in ended.stderr


def test_a_start_does_not_load_what_few_calls_need() -> None:
    """A cold start would pay for it: Prometheus is answered by few instances."""
    asked = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys, function_app; print('prometheus_client' in sys.modules)",
        ],
        cwd=_ROOT,
        env={"PATH": os.environ["PATH"], **GIVEN},
        capture_output=True,
        text=True,
        check=True,
    )

    assert asked.stdout.strip() == "False"
