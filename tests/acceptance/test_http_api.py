"""Can a client that knows the OpenAPI document alone do everything with a real farm?"""

import asyncio
import io
import itertools
import re
import zipfile
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from aiohttp import web

from blendrop import settings
from tests.doubles import watched_farm
from tests.doubles.watched_farm import WatchedFarm

pytestmark = pytest.mark.asyncio(loop_scope="module")

# Slow enough to be steered in between: about half a second for each frame.
SLOW = {
    "engine": "CYCLES",
    "samples": 800,
    "resolution_percent": 300,
    "batch_size": 16,
    "force": True,
}
ENDED = ("completed", "failed", "cancelled")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def farm(
    tmp_path_factory: pytest.TempPathFactory, installed_blenders: Mapping[str, str]
) -> AsyncIterator[WatchedFarm]:
    """Return a farm of two workers, that may announce to this machine."""
    folder = tmp_path_factory.mktemp("farm")
    async with watched_farm.running(
        folder,
        installed_blenders,
        lease_seconds="3",
        webhook_secret="secret",
        webhook_hosts="127.0.0.1",
    ) as started:
        yield started


@dataclass
class Client:
    """Calls operations by the paths of the document, and holds each answer to it."""

    http: httpx.AsyncClient
    document: dict[str, Any]

    async def __call__(
        self,
        method: str,
        path: str,
        *,
        expect: int,
        parameters: Mapping[str, object] = {},
        **more: Any,
    ) -> httpx.Response:
        """Make a call, which must be documented with the answer that is expected."""
        assert str(expect) in self.document["paths"][path][method]["responses"]
        answer = await self.http.request(method, path.format(**parameters), **more)
        assert answer.status_code == expect, answer.text
        return answer

    async def upload(self, content: bytes, name: str = "shot.blend") -> str:
        """Put a scene where the farm says, and return what it is called."""
        begun = (await self("post", "/api/uploads", expect=201, json={"name": name})).json()
        put = await self.http.put(
            begun["url"], content=content, headers={"x-ms-blob-type": "BlockBlob"}
        )
        assert put.status_code == 201, put.text
        return str(begun["scene"])

    async def until(
        self, job_id: str, holds: Callable[[dict[str, Any]], bool], seconds: float = 60
    ) -> dict[str, Any]:
        """Poll as cheaply as the document allows, until something holds."""
        etag, view = "", dict[str, Any]()
        async with asyncio.timeout(seconds):
            while True:
                answer = await self.http.get(
                    f"/api/jobs/{job_id}", headers={"If-None-Match": etag} if etag else {}
                )
                if answer.status_code != 304:
                    assert answer.status_code == 200, answer.text
                    etag, view = answer.headers["ETag"], answer.json()
                if holds(view):
                    return view
                await asyncio.sleep(0.1)


@pytest_asyncio.fixture(loop_scope="module")
async def client(farm: WatchedFarm) -> AsyncIterator[Client]:
    """Return a client that has read the document."""
    async with httpx.AsyncClient(base_url=farm.running.client.http, timeout=30) as http:
        yield Client(http, (await http.get("/api/openapi.json")).json())


def one(job_id: str) -> dict[str, Any]:
    """Return the parameters of a call about a job."""
    return {"job_id": job_id}


async def test_the_whole_life_of_a_job(client: Client, scene: Callable[[str], Path]) -> None:
    """Upload, dry run, submit, poll, cancel, retry, fetch, delete."""
    name = await client.upload(scene("tiny").read_bytes())
    body = {"scene": name, "settings": {"frames": "1-16", **SLOW}}
    dry = await client("post", "/api/jobs", expect=200, json=body, params={"dry_run": True})
    assert (dry.json()["frames"], dry.json()["batch_count"]) == ("1-16", 1)
    key = {"Idempotency-Key": "opening, take 1"}
    made = await client("post", "/api/jobs", expect=202, json=body, headers=key)
    job_id = made.json()["job"]["id"]
    assert made.headers["Location"] == f"/api/jobs/{job_id}"
    assert int(made.headers["Retry-After"]) > 0
    again = await client("post", "/api/jobs", expect=202, json=body, headers=key)
    assert again.json()["job"]["id"] == job_id
    other = {"scene": name, "settings": {"frames": "1-9"}}
    refused = await client("post", "/api/jobs", expect=409, json=other, headers=key)
    assert job_id in refused.json()["detail"]

    await client.until(job_id, lambda view: view["frames_done"] >= 2)
    cancelled = await client(
        "post", "/api/jobs/{job_id}/cancel", expect=200, parameters=one(job_id)
    )
    assert cancelled.json()["job"]["state"] == "cancelled"
    await client("post", "/api/jobs/{job_id}/pause", expect=409, parameters=one(job_id))
    await client.until(job_id, lambda view: not view["workers"])
    stopped = (await client("get", "/api/jobs/{job_id}", expect=200, parameters=one(job_id))).json()
    assert 2 <= stopped["frames_done"] < 16
    await client("post", "/api/jobs/{job_id}/retry", expect=200, parameters=one(job_id))
    view = await client.until(job_id, lambda view: view["job"]["state"] in ENDED)
    assert (view["job"]["state"], view["frames_done"], view["frames_left"]) == ("completed", 16, 0)
    assert view["frames_per_second"] > 0
    assert view["render_seconds"] > 0

    await _fetched(client, job_id)
    kinds = [
        event["kind"]
        for event in (
            await client("get", "/api/jobs/{job_id}/events", expect=200, parameters=one(job_id))
        ).json()["events"]
    ]
    assert [kind for kind in kinds if kind in ("submitted", "cancelled", "completed")] == [
        "submitted",
        "cancelled",
        "completed",
    ]
    await client("delete", "/api/jobs/{job_id}", expect=204, parameters=one(job_id))
    await client("delete", "/api/jobs/{job_id}", expect=204, parameters=one(job_id))
    await client("get", "/api/jobs/{job_id}", expect=404, parameters=one(job_id))


async def _fetched(client: Client, job_id: str) -> None:
    frames = (
        await client("get", "/api/jobs/{job_id}/frames", expect=200, parameters=one(job_id))
    ).json()["frames"]
    assert [frame["state"] for frame in frames] == ["done"] * 16
    path = "/api/jobs/{job_id}/frames/{frame}"
    whole = await client("get", path, expect=200, parameters=one(job_id) | {"frame": 3})
    assert whole.headers["Content-Type"] == "image/png"
    held = {"If-None-Match": whole.headers["ETag"]}
    await client("get", path, expect=304, parameters=one(job_id) | {"frame": 3}, headers=held)
    some = await client(
        "get",
        path,
        expect=206,
        parameters=one(job_id) | {"frame": 3},
        headers={"Range": "bytes=4-99"},
    )
    assert some.content == whole.content[4:100]
    log = await client("get", f"{path}/log", expect=200, parameters=one(job_id) | {"frame": 3})
    assert log.headers["Content-Type"].startswith("text/plain")
    missing = await client("get", path, expect=404, parameters=one(job_id) | {"frame": 99})
    assert "has no frame 99; it has 1-16" in missing.json()["detail"]
    packed = await client(
        "get",
        "/api/jobs/{job_id}/frames.zip",
        expect=200,
        parameters=one(job_id),
        params={"frames": "3-4"},
    )
    with zipfile.ZipFile(io.BytesIO(packed.content)) as archive:
        assert archive.namelist() == [frames[2]["name"], frames[3]["name"]]
        assert archive.read(frames[2]["name"]) == whole.content


async def test_every_problem_is_told_at_once(client: Client, scene: Callable[[str], Path]) -> None:
    """With pointer, value, reason and remedy; and nothing is written."""
    before = (await client("get", "/api/jobs", expect=200)).json()
    body = {"scene": "nowhere.blend", "settings": {"frames": "1-", "samples": 0, "colour": "red"}}
    answer = await client("post", "/api/jobs", expect=422, json=body)
    assert answer.headers["Content-Type"] == "application/problem+json"
    problems = {one["pointer"]: one for one in answer.json()["problems"]}
    assert set(problems) == {
        "/scene",
        "/settings/frames",
        "/settings/samples",
        "/settings/colour",
    }
    assert all(one["reason"] and one["remedy"] for one in problems.values())
    assert problems["/settings/frames"]["value"] == "1-"
    await client("post", "/api/jobs", expect=422, content=b"no json")
    await client("get", "/api/jobs", expect=422, params={"limit": "many"})
    name = await client.upload(scene("tiny").read_bytes()[:30])
    cut_off = await client("post", "/api/jobs", expect=422, json={"scene": name})
    assert cut_off.json()["problems"][0]["pointer"] == "/scene"
    assert (await client("get", "/api/jobs", expect=200)).json() == before


async def test_a_hundred_equal_submissions_at_once_make_one_job(
    client: Client, farm: WatchedFarm, scene: Callable[[str], Path]
) -> None:
    """With one key; and a look at all jobs finds it once."""
    name = await client.upload(scene("tiny").read_bytes(), "hundred.blend")
    body = {"scene": name, "settings": {"frames": "1-2"}}
    key = {"Idempotency-Key": "hundred"}
    answers = await asyncio.gather(
        *(client("post", "/api/jobs", expect=202, json=body, headers=key) for _ in range(100))
    )
    (job_id,) = {answer.json()["job"]["id"] for answer in answers}
    view = await client.until(job_id, lambda view: view["job"]["state"] in ENDED)
    await farm.until_empty(settings.BATCHES_QUEUE)

    assert view["job"]["state"] == "completed"
    assert farm.times_rendered(job_id) == {1: 1, 2: 1}
    listed = (await client("get", "/api/jobs", expect=200)).json()["jobs"]
    assert [one["id"] for one in listed].count(job_id) == 1


async def test_jobs_are_listed_page_by_page_and_by_state(
    client: Client, scene: Callable[[str], Path]
) -> None:
    """Newest first."""
    name = await client.upload(scene("tiny").read_bytes(), "page.blend")
    made = []
    for _ in range(3):
        body = {"scene": name, "settings": {"frames": "1"}}
        made.append((await client("post", "/api/jobs", expect=202, json=body)).json()["job"]["id"])
    for job_id in made:
        await client.until(job_id, lambda view: view["job"]["state"] in ENDED)
    found, token = list[str](), ""
    for _ in range(2):
        page = await client(
            "get",
            "/api/jobs",
            expect=200,
            params={"limit": 2, "token": token, "state": "completed"},
        )
        found += [one["id"] for one in page.json()["jobs"]]
        token = page.json()["next"]
    assert found[:3] == list(reversed(made))
    none = await client("get", "/api/jobs", expect=200, params={"state": "paused"})
    assert none.json() == {"jobs": [], "next": ""}


async def test_a_paused_job_goes_on_where_it_stopped(
    client: Client, farm: WatchedFarm, scene: Callable[[str], Path]
) -> None:
    """The frame in hand is finished, and none is rendered twice; a high one goes before."""
    name = await client.upload(scene("tiny").read_bytes(), "paused.blend")
    body = {"scene": name, "settings": {"frames": "1-16", **SLOW}}
    job_id = (await client("post", "/api/jobs", expect=202, json=body)).json()["job"]["id"]
    await client.until(job_id, lambda view: view["frames_done"] >= 1)
    await client("post", "/api/jobs/{job_id}/pause", expect=200, parameters=one(job_id))
    paused = await client.until(job_id, lambda view: not view["workers"])
    await asyncio.sleep(1)
    still = (await client("get", "/api/jobs/{job_id}", expect=200, parameters=one(job_id))).json()
    assert still["frames_done"] == paused["frames_done"] < 16
    await client(
        "post",
        "/api/jobs/{job_id}/priority",
        expect=200,
        parameters=one(job_id),
        json={"priority": "high"},
    )
    await client("post", "/api/jobs/{job_id}/resume", expect=200, parameters=one(job_id))
    view = await client.until(job_id, lambda view: view["job"]["state"] in ENDED)
    assert view["job"]["state"] == "completed"
    assert farm.times_rendered(job_id) == dict.fromkeys(range(1, 17), 1)


async def test_whoever_a_job_names_is_told_of_its_end(
    client: Client, scene: Callable[[str], Path]
) -> None:
    """By a signed call, from the real function; a first one that fails is made again."""
    heard: asyncio.Queue[tuple[Any, str]] = asyncio.Queue()
    answers = itertools.chain([500], itertools.repeat(204))

    async def hear(request: web.Request) -> web.Response:
        await heard.put((await request.json(), request.headers["webhook-signature"]))
        return web.Response(status=next(answers))

    app = web.Application()
    app.router.add_post("/told", hear)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    name = await client.upload(scene("tiny").read_bytes(), "told.blend")
    webhook = f"http://127.0.0.1:{runner.addresses[0][1]}/told"
    body = {"scene": name, "settings": {"frames": "1", "webhook": webhook}}
    job_id = (await client("post", "/api/jobs", expect=202, json=body)).json()["job"]["id"]
    async with asyncio.timeout(60):
        told = [await heard.get() for _ in range(2)]
        await client.until(job_id, lambda view: view["job"]["announcement"]["state"] == "sent")
    await runner.cleanup()

    assert all(said["type"] == "job.completed" for said, _ in told)
    assert all(said["data"]["id"] == job_id for said, _ in told)
    assert all(re.fullmatch(r"v1,[\w+/=]{44}", signature) for _, signature in told)
