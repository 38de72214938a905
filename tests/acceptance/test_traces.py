"""Does one trace lead from a request or an upload to every frame, over all processes?"""

import os
import signal
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from blendrop.domain import jobs
from tests.doubles import otlp_receiver, quick_blender, watched_farm
from tests.doubles.otlp_receiver import Receiver, SeenSpan
from tests.doubles.watched_farm import WatchedFarm

pytestmark = pytest.mark.asyncio(loop_scope="module")

# The client's own span, which it does not send to this collector.
TRACE, ROOT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def receiver() -> AsyncIterator[Receiver]:
    """A collector."""
    async with otlp_receiver.receiving() as started:
        yield started


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def farm(
    tmp_path_factory: pytest.TempPathFactory, receiver: Receiver
) -> AsyncIterator[WatchedFarm]:
    """A farm of two workers that tells the collector."""
    folder = tmp_path_factory.mktemp("farm")
    async with watched_farm.running(
        folder,
        quick_blender.blenders(folder / "blender"),
        environment={"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.address},
        lease_seconds="3",
        retry_seconds="0",
    ) as started:
        yield started


async def submitted(farm: WatchedFarm, content: bytes, **settings: object) -> str:
    """Upload and submit as a client that traces would; return the job's id."""
    headers = {"traceparent": f"00-{TRACE}-{ROOT}-01"}
    async with httpx.AsyncClient(base_url=farm.running.client.http, timeout=30) as http:
        begun = (await http.post("/api/uploads", json={"name": "shot.blend"})).json()
        blob = {"x-ms-blob-type": "BlockBlob"}
        assert (await http.put(begun["url"], content=content, headers=blob)).status_code == 201
        body = {"scene": begun["scene"], "settings": settings}
        answer = await http.post("/api/jobs", json=body, headers=headers)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["job"]["id"])


def processed(spans: list[SeenSpan], job_id: str, outcome: str = "done") -> list[SeenSpan]:
    """Return the spans of a job's messages that came to an outcome."""
    about = {"blendrop.job.id": job_id, "blendrop.outcome": outcome}
    return [one for one in spans if about.items() <= one.attributes.items()]


def way_up(spans: list[SeenSpan], span: SeenSpan) -> list[str]:
    """Return the names from a span up to the root."""
    by_id = {one.id: one for one in spans}
    names = [span.name]
    while span.parent in by_id:
        span = by_id[span.parent]
        names.append(span.name)
    return names


async def test_a_request_is_one_trace_down_to_its_frames_a_killed_worker_included(
    farm: WatchedFarm, receiver: Receiver
) -> None:
    """Request, function, message, batch, frame: no span hangs in the air."""
    content = quick_blender.scene("killed", 12, seconds=0.4)
    job_id = await submitted(farm, content, frames="1-12", batch_size=6)

    def frames_of_first(spans: list[SeenSpan]) -> list[SeenSpan]:
        return [one for one in spans if one.name == "frame" and one.trace == TRACE]

    await receiver.until(lambda spans: bool(frames_of_first(spans)))
    first = next(one for one in receiver.spans if one.name == "frame")
    victim = str(first.resource["service.instance.id"])
    os.kill(farm.running.workers[victim].process.pid, signal.SIGKILL)
    view = await farm.until(job_id)
    assert view.job.state is jobs.JobState.COMPLETED, view.job.reason
    await receiver.until(lambda spans: len(processed(spans, job_id)) == 2)

    spans = receiver.of(TRACE)
    about_job = [one for one in receiver.spans if one.attributes.get("blendrop.job.id") == job_id]
    assert {one.trace for one in about_job} == {TRACE}
    assert {one.parent for one in spans} - {one.id for one in spans} == {ROOT}
    assert len(otlp_receiver.pieces(spans, roots=[ROOT])) == 1
    for frame in (one for one in spans if one.name == "frame"):
        assert way_up(spans, frame) == [
            "frame",
            "claim batch",
            "send render-batches",
            "POST /api/jobs",
        ]
    services = {one.name: one.resource["service.name"] for one in spans}
    assert services["send render-batches"] == "blendrop-functions"
    assert services["claim batch"] == "blendrop-worker"
    # One that another worker came before has an outcome, and no attempt.
    claims = [
        one
        for one in spans
        if one.name == "claim batch" and "blendrop.outcome" not in one.attributes
    ]
    by_attempt = {
        (one.attributes["blendrop.batch.number"], one.attributes["blendrop.attempt"]): one
        for one in claims
    }
    assert len(by_attempt) == len(claims) == 3
    (lost,) = [one for one in claims if one.id == first.parent]
    again = by_attempt[lost.attributes["blendrop.batch.number"], 2]
    assert again.links == (lost.id,)
    assert lost.who == f"blendrop-worker {victim}"
    assert len(processed(spans, job_id)) == 2  # that of the killed worker never ended
    done = {one.attributes["blendrop.frame.number"] for one in spans if one.name == "frame"}
    assert done == set(range(1, 13))


async def test_an_upload_is_one_trace_with_what_each_frame_took(
    farm: WatchedFarm, receiver: Receiver
) -> None:
    """From the trigger on; a frame that fails says why, and its retry is in the same trace."""
    content = quick_blender.scene("uploaded", 3, seconds=0.01, bad={"2": "damaged"})
    job_id = await farm.upload("uploaded.blend", content, batch_size="3")
    view = await farm.until(job_id)
    assert view.job.state is jobs.JobState.FAILED
    await receiver.until(lambda spans: bool(processed(spans, job_id, "failed")))

    (uploaded,) = [
        one
        for one in receiver.spans
        if one.name == "scene_uploaded" and one.trace == view.job.traceparent.split("-")[1]
    ]
    spans = receiver.of(uploaded.trace)
    assert {one.parent for one in spans} - {one.id for one in spans} == {uploaded.parent}
    failed = [one for one in spans if one.name in ("frame", "verify") and one.failed]
    assert {one.attributes["error.type"] for one in failed} == {"damaged_image"}
    assert {one.attributes["blendrop.frame.number"] for one in failed} == {2}
    assert len(failed) == 3  # attempts
    refused = {one.parent for one in failed}
    whole = next(one for one in spans if one.name == "frame" and one.id not in refused)
    assert {one.name for one in spans if one.parent == whole.id} >= {"render", "verify", "publish"}
    claims = [one for one in spans if one.name == "claim batch"]
    loads = [one for one in spans if one.name == "load"]
    assert len(claims) == 3
    assert loads
    assert {one.name for one in spans if one.parent == claims[0].id} == {"fetch scene", "frame"}
