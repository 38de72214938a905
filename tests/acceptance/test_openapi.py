"""Does the farm answer what its OpenAPI document says, whatever it is asked?"""

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest
import pytest_asyncio

from tests.doubles import watched_farm
from tests.doubles.blend_file import head
from tests.doubles.watched_farm import WatchedFarm

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]

_CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def farm(
    tmp_path_factory: pytest.TempPathFactory, installed_blenders: Mapping[str, str]
) -> AsyncIterator[WatchedFarm]:
    """Return a farm without workers, with one job that waits."""
    folder = tmp_path_factory.mktemp("farm")
    async with watched_farm.running(folder, installed_blenders, workers=0) as started:
        job_id = await started.upload("waits.blend", head(("S", 1, 9)))
        await started.until(job_id, lambda view: view.job.state == "queued")
        yield started


async def test_no_call_is_answered_otherwise_than_documented(
    farm: WatchedFarm, tmp_path: Path
) -> None:
    """Schemathesis asks what the document allows, and what it does not; no answer is a 5xx."""
    schemathesis = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name("schemathesis"),
        "run",
        f"{farm.running.client.http}/api/openapi.json",
        "--url",
        farm.running.client.http,
        "--checks",
        ",".join(_CHECKS),
        "--max-examples",
        "15",
        "--seed",
        "1",
        "--no-color",
        "--continue-on-failure",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=tmp_path,
    )
    said, _ = await schemathesis.communicate()
    print(said.decode())

    assert schemathesis.returncode == 0
