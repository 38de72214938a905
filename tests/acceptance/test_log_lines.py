"""Is every line of every process one JSON object with the same keys, and no secret in any of it?"""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from blendrop.domain import jobs
from tests.doubles import otlp_receiver, quick_blender, watched_farm
from tests.doubles.otlp_receiver import Receiver
from tests.doubles.watched_farm import WatchedFarm

pytestmark = pytest.mark.asyncio(loop_scope="module")

_ROOT = Path(__file__).parents[2]
SIGNATURE = "cGxhbnRlZCBzaWduYXR1cmU"  # of a SAS, in a scene's name
PASSWORD = "planted-function-key"  # in an address that is to be told
TOKEN = "cGxhbnRlZCB0b2tlbg"  # of whoever asks over HTTP
WEBHOOK_SECRET = "planted webhook secret"
HEADER = "planted-collector-key"
PLANTED = (SIGNATURE, PASSWORD, TOKEN, WEBHOOK_SECRET, HEADER)
EVERYWHERE = {"event", "level", "logger", "timestamp"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def receiver() -> AsyncIterator[Receiver]:
    """A collector."""
    async with otlp_receiver.receiving() as started:
        yield started


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def farm(
    tmp_path_factory: pytest.TempPathFactory, receiver: Receiver
) -> AsyncIterator[WatchedFarm]:
    """A farm with secrets of its own."""
    folder = tmp_path_factory.mktemp("farm")
    async with watched_farm.running(
        folder,
        quick_blender.blenders(folder / "blender"),
        workers=1,
        environment={
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.address,
            "OTEL_EXPORTER_OTLP_HEADERS": f"api-key={HEADER}",
        },
        webhook_secret=WEBHOOK_SECRET,
        webhook_hosts="127.0.0.1",
        retry_seconds="0",
    ) as started:
        yield started


def lines(text: str) -> list[dict[str, Any]]:
    """Return a log's lines, each of which must be one JSON object with what every line has."""
    found = [json.loads(line) for line in text.splitlines()]
    assert found
    for line in found:
        assert line.keys() >= EVERYWHERE, line
    return found


async def test_lines_carry_their_keys_and_no_secret(farm: WatchedFarm, receiver: Receiver) -> None:
    """Though names, addresses, headers and settings hold some."""
    content = quick_blender.scene("shot", 4, seconds=0.01, bad={"2": "crash"})
    # Nobody listens at this address.
    webhook = f"https://127.0.0.1:1/told?sig={SIGNATURE}&code={PASSWORD}"
    job_id = await farm.upload(f"sig={SIGNATURE}/shot.blend", content, webhook=webhook)
    await farm.upload(f"{WEBHOOK_SECRET}.txt", b"no scene")
    async with httpx.AsyncClient(base_url=farm.running.client.http, timeout=30) as http:
        headers = {"Authorization": f"Bearer {TOKEN}", "x-functions-key": TOKEN}
        body = {"scene": f"https://farm/a?sig={SIGNATURE}", "settings": {}}
        refused = await http.post("/api/jobs", json=body, headers=headers)
        assert refused.status_code == 422
    view = await farm.until(job_id)
    assert view.job.state is jobs.JobState.FAILED
    trace = view.job.traceparent.split("-")[1]

    def told() -> list[dict[str, Any]]:
        return [one for one in farm.log_lines("functions.log") if one.get("job") == job_id]

    async with asyncio.timeout(30):
        while not [one for one in told() if one["event"].startswith("job_announ")]:  # noqa: ASYNC110 another process sets no event
            await asyncio.sleep(0.2)
    await receiver.until(lambda spans: any(one.name == "attend due job" for one in spans))

    text = {name: (farm.folder / f"{name}.log").read_text() for name in ("functions", "worker-1")}
    worker, functions = lines(text["worker-1"]), lines(text["functions"])
    assert {line["worker"] for line in worker} == {"worker-1"}
    (failed, *_) = [line for line in worker if line["event"] == "frame_failed"]
    wanted = {"job": job_id, "batch": 0, "frame": 2, "attempt": 1, "trace_id": trace}
    assert {name: failed.get(name) for name in wanted} == wanted
    assert {line["trace_id"] for line in worker if line.get("job") == job_id} == {trace}
    assert {line.get("trace_id") for line in told()} == {trace}
    assert [one for one in functions if one["event"] == "upload_ignored"]
    for planted in PLANTED:
        for name, written in text.items():
            assert planted not in written, name
        assert planted.encode() not in receiver.raw, "spans"
    assert "sig=[redacted]" in text["worker-1"]
    assert "[redacted].txt" in text["functions"]


@pytest.mark.parametrize("missing", ["BLENDROP_FRAME_SHARE", ""])
async def test_a_worker_that_cannot_go_on_says_so_in_json(tmp_path: Path, missing: str) -> None:
    """Nothing on standard error, and nothing of its connection string anywhere."""
    key = "cGxhbnRlZCBrZXk="
    endpoints = "".join(
        f"{service}Endpoint=http://127.0.0.1:1/farm;" for service in ("Blob", "Queue", "Table")
    )
    given = {
        "BLENDROP_STORAGE": f"AccountName=farm;AccountKey={key};{endpoints}",
        "BLENDROP_FRAME_SHARE": str(tmp_path),
        "BLENDROP_SCRATCH": str(tmp_path / f"AccountKey={key}"),
        "BLENDROP_BLENDERS": f"5.0=/nowhere/sig={SIGNATURE}/blender",
        "BLENDROP_WORKER_NAME": "unstartable",
    }
    given.pop(missing, None)
    worker = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "container_worker"),
        cwd=_ROOT,
        env={"PATH": os.environ["PATH"], **given},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    said, complained = await asyncio.wait_for(worker.communicate(), 60)

    assert worker.returncode == 1
    assert complained == b""
    (failed,) = [one for one in lines(said.decode()) if one["event"] == "worker_failed"]
    assert (missing or "sig=[redacted]") in failed["reason"]
    assert key not in said.decode()
    assert SIGNATURE not in said.decode()
