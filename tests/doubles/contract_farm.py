"""A farm that speaks the API's contract and the blob service's, and breaks where it is told to.

It renders nothing: what the real farm does is seen in the acceptance tests. Here the network and
the answers go wrong in the ways that a real farm will not show when asked.
"""

import contextlib
import hashlib
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.doubles import contract_storage

JOB = "opening-0f3a92c1d4e5"  # the job that the examples of the help name
Fault = Callable[[web.Request, "ContractFarm"], Awaitable[web.StreamResponse | None]]


def problem(
    status: int, detail: str, problems: list[dict[str, str]] | None = None, **more: Any
) -> web.Response:
    """Return problem details (RFC 9457)."""
    body: dict[str, Any] = {"type": "about:blank", "title": "No", "status": status}
    body |= {"detail": detail, **({"problems": problems} if problems else {})}
    return web.json_response(body, status=status, content_type="application/problem+json", **more)


def view(
    state: str = "rendering", *, done: int = 2, job_id: str = JOB, **more: Any
) -> dict[str, Any]:
    """Return a job of six frames as the API shows it."""
    return {
        "job": {
            "id": job_id,
            "state": state,
            "reason": f"it is {state}",
            "scene": {"name": "shots/opening.blend", "etag": "0x1", "size": 4096},
            "settings": {},
            "blender_version": "5.0",
            "frames": "1-6",
            "frame_count": 6,
            "batch_size": 3,
            "batch_count": 2,
            "frame_pattern": "frame_####.png",
            "created": "2026-01-02T03:04:05Z",
            "started": None,
            "changed": "2026-01-02T03:04:06Z",
            "owner": "ada",
            "announcement": None,
        },
        "frames_done": done,
        "frames_failed": "",
        "frames_left": 6 - done,
        "frames_per_second": 0.5,
        "eta_seconds": (6 - done) * 2.0,
        "attempts": 2,
        "render_seconds": 4.0,
        "wasted_seconds": 0.0,
        "workers": [{"worker": "w1", "batch": 0, "frames": "1-3", "frames_done": done}],
        "failures": [],
        "flagged": [],
        **more,
    }


FAILURE = {
    "frame": 3,
    "attempts": 3,
    "failure_class": "crash",
    "reason": "Blender crashed",
    "remedy": "Look at the log",
    "worker": "w1",
    "log_tail": "boom",
}


@dataclass
class ContractFarm:
    """What it holds, what it was asked, and what goes wrong next."""

    url: str = ""
    # The views of a job, in the order that they are shown; the last one stays.
    views: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    frames: dict[int, bytes] = field(default_factory=dict)
    frame_states: dict[int, dict[str, Any]] = field(default_factory=dict)
    frame_names: dict[int, str] = field(default_factory=dict)
    storage: contract_storage.ContractStorage = field(
        default_factory=contract_storage.ContractStorage
    )
    jobs_by_key: dict[str, tuple[bytes, str]] = field(default_factory=dict)
    faults: list[tuple[re.Pattern[str], Fault]] = field(default_factory=list)
    asked: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    resumed_with: list[dict[str, Any]] = field(default_factory=list)
    block_size: int = 1000
    # Where scenes are sent by their names, if not to this farm's own storage.
    elsewhere: Callable[[str], str] | None = None
    given: str = ""  # the signature that is given next, if not the one that the storage takes

    def fault(self, where: str, *faults: Fault) -> None:
        """Let the next requests that match `METHOD /path?query` meet these faults, in turn."""
        self.faults.extend((re.compile(where), fault) for fault in faults)

    def count(self, where: str) -> int:
        """Return how many requests match."""
        return len(self.matching(where))

    def matching(self, where: str) -> list[dict[str, str]]:
        """Return the headers of the requests that match, in order."""
        return [
            headers for method, path, headers in self.asked if re.search(where, f"{method} {path}")
        ]

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer one request, or fail it."""
        line = f"{request.method} {request.path_qs}"
        self.asked.append((request.method, request.path_qs, dict(request.headers)))
        for number, (where, fault) in enumerate(self.faults):
            if where.search(line):
                del self.faults[number]
                answer = await fault(request, self)
                return web.Response(status=500) if answer is None else answer
        return await self.handle(request)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request as the contract says."""
        if request.path.startswith("/blobs/"):
            return await self.storage.handle(request, request.path.removeprefix("/blobs/"))
        parts = request.path.removeprefix("/api/").split("/")
        match (request.method, *parts):
            case ("POST", "uploads" | "jobs" as what):
                return await (self._sign if what == "uploads" else self._submit)(request)
            case ("GET", "jobs" | "workers" | "farm" as what):
                return self._list(request, what)
            case ("GET", "jobs", job_id, *rest) if job_id in self.views:
                return self._show(request, job_id, rest)
            case ("POST" | "DELETE", "jobs", job_id, *rest) if job_id in self.views:
                return await self._steer(request, job_id, rest)
        status = 204 if request.method == "DELETE" else 404
        return problem(status, f"there is no {request.path}")

    async def _sign(self, request: web.Request) -> web.Response:
        body = await request.json()
        scene = f"api/{body['key'][:16]}/{body['name']}"
        url = f"{self.url}/blobs/{scene}?sv=1&sig={self.given or self.storage.signature}%2B%3D"
        if self.elsewhere is not None:
            url = self.elsewhere(scene)
        self.given = ""
        ticket = {"scene": scene, "url": url, "expires": "2030-01-01T00:00:00Z"}
        return web.json_response({**ticket, "block_size": self.block_size}, status=201)

    async def _submit(self, request: web.Request) -> web.Response:
        body = await request.json()
        if self.elsewhere is None and body["scene"] not in self.storage.blobs:
            wrong = {
                "pointer": "/scene",
                "value": body["scene"],
                "reason": "there is no such scene",
            }
            return problem(422, "this cannot be rendered", [{**wrong, "remedy": "Upload it"}])
        if request.query.get("dry_run") == "true":
            return web.json_response({"frames": "1-6", "frame_count": 6, "cost": {"low": 0.1}})
        key = request.headers.get("Idempotency-Key", "")
        written = json.dumps(body, sort_keys=True).encode()
        if key in self.jobs_by_key:
            known, job_id = self.jobs_by_key[key]
            if known != written:
                return problem(409, "this key was used for another job")
        else:
            job_id = JOB if not self.jobs_by_key else f"opening-{len(self.jobs_by_key)}"
            self.jobs_by_key[key] = (written, job_id)
            self.views.setdefault(job_id, [view("queued", done=0, job_id=job_id)])
        headers = {"Location": f"/api/jobs/{job_id}", "Retry-After": "1"}
        return web.json_response(self.views[job_id][0], status=202, headers=headers)

    def _list(self, request: web.Request, what: str) -> web.Response:
        if what == "workers":
            worker = {"name": "w1", "alive": True, "blenders": ["4.5", "5.0"]}
            return web.json_response({"workers": [worker]})
        if what == "farm":
            return web.json_response({"queue_depth": 3, "why_idle": None, "workers": []})
        wanted = request.query.get("state")
        every = [shown[0]["job"] for shown in self.views.values()]
        found = [job for job in every if wanted in {None, job["state"]}]
        start, limit = int(request.query.get("token", "0")), int(request.query.get("limit", "50"))
        limit = min(limit, 2)  # pages are small, so that tests see several
        more = str(start + limit) if start + limit < len(found) else ""
        return web.json_response({"jobs": found[start : start + limit], "next": more})

    def _show(self, request: web.Request, job_id: str, rest: list[str]) -> web.Response:
        shown = self.views[job_id]
        match rest:
            case []:
                now = shown.pop(0) if len(shown) > 1 else shown[0]
                return conditional(request, json.dumps(now).encode(), "application/json")
            case ["frames"]:
                return web.json_response({"frames": self._frames()})
            case ["frames", number] if int(number) in self.frames:
                return conditional(request, self.frames[int(number)], "image/png")
            case ["frames", "3", "log"]:
                return web.Response(text="Fra:3 \x1b[31mred\nSaved\n")
            case ["events"]:
                event = {"at": "2026-01-02T03:04:05Z", "kind": "queued", "reason": "sent"}
                return web.json_response({"events": [{**event, "by": "ada"}]})
        return problem(404, f"there is no {request.path}")

    async def _steer(self, request: web.Request, job_id: str, rest: list[str]) -> web.Response:
        shown = self.views[job_id]
        state = shown[0]["job"]["state"]
        match (request.method, *rest):
            case ("DELETE",):
                if state not in {"completed", "failed", "cancelled"}:
                    return problem(409, f"job {job_id} still renders; cancel it first")
                del self.views[job_id]
                return web.Response(status=204)
            case ("POST", "priority"):
                assert (await request.json())["priority"] in {"normal", "high"}
            case ("POST", "cancel" | "pause" | "resume" | "retry" as how):
                if how == "resume":
                    self.resumed_with.append(json.loads(await request.read() or b"{}"))
                if state == "completed":
                    return problem(409, f"job {job_id} is completed: it cannot {how}")
                state = {"cancel": "cancelled", "pause": "paused"}.get(how, "queued")
                self.views[job_id] = [view(state, job_id=job_id)]
        return web.json_response(self.views[job_id][0])

    def _frames(self) -> list[dict[str, Any]]:
        return [
            {
                "frame": number,
                "state": "done" if number in self.frames else "waiting",
                "name": self.frame_names.get(number, f"frame_{number:04d}.png"),
                "seconds": 1.0,
                "flags": [],
                "failure": None,
                "batch": 0,
                "bytes": len(self.frames.get(number, b"")),
                **self.frame_states.get(number, {}),
            }
            for number in range(1, 7)
        ]


def conditional(request: web.Request, content: bytes, kind: str) -> web.Response:
    """Return content, or the part of it that is asked for, or that it has not changed."""
    etag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
    headers = {"ETag": etag, "Content-Type": kind}
    if request.headers.get("If-None-Match") == etag:
        return web.Response(status=304, headers=headers)
    spread = re.fullmatch(r"bytes=(\d+)-", request.headers.get("Range", ""))
    if spread and request.headers.get("If-Range", etag) == etag:
        start = int(spread[1])
        if start >= len(content):
            return web.Response(status=416, headers={"Content-Range": f"bytes */{len(content)}"})
        headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        return web.Response(status=206, body=content[start:], headers=headers)
    return web.Response(body=content, headers=headers)


@contextlib.asynccontextmanager
async def running() -> AsyncIterator[ContractFarm]:
    """Run one on a free port."""
    farm = ContractFarm()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", farm.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    farm.url = f"http://{host}:{port}"
    try:
        yield farm
    finally:
        await runner.cleanup()
