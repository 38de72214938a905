"""How long does an animation take on this farm, and how long without it? In turn, in one run.

`plain`      one `blender -b -a`
`persistent` the same with persistent data, which a person has to think of in Blender
`tutorial`   batches of 5 frames, a process each, one after the other: what a simple farm does
`1 warm`     this farm, from upload to the last published frame; Blender waits, the scene is new
`2 warm`     the same on a farm of two workers, which share the machine's cores
`1 cold`     the same, and the worker is started as the scene is uploaded
"""

import asyncio
import os
import re
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from blendrop import errors
from blendrop.domain import frames, jobs
from local import blenders, farm, pixel_compare

PLAIN, PERSISTENT, TUTORIAL = "plain", "persistent", "tutorial"
ONE, TWO, COLD = "1 warm", "2 warm", "1 cold"
WAYS = (PLAIN, PERSISTENT, TUTORIAL, ONE, TWO, COLD)
_PLAIN_BLENDER = Path(__file__).parents[1] / "plain_blender.py"
_TUTORIAL_BATCH = 5
_KEEP = "import bpy; bpy.context.scene.render.use_persistent_data = True"


@dataclass
class Costs:
    """What one worker took for one job beside Blender."""

    cpu_per_frame: list[float] = field(default_factory=list)  # seconds, of the worker's process
    share: list[float] = field(default_factory=list)  # of the time that the job took
    calls_per_frame: list[float] = field(default_factory=list)  # of queue and tables
    worker_memory: int = 0  # bytes, at the most
    blender_memory: int = 0


@dataclass
class Measured:
    """Every time that was measured of one scene, in seconds."""

    frames: int = 0
    seconds: dict[str, list[float]] = field(default_factory=lambda: {way: [] for way in WAYS})
    first_frame: list[float] = field(default_factory=list)  # uploaded to published, one warm worker
    # The same less what Blender takes to open the scene and to render the frame.
    beyond_first: list[float] = field(default_factory=list)
    costs: Costs = field(default_factory=Costs)
    difference: float = 0.0  # of the pixels of all ways, at the most


@dataclass(frozen=True)
class Bench:
    """Farms and a Blender beside them that are given the same scenes."""

    one: farm.Farm  # which has one worker at the most, and so cuts batches for one
    two: farm.Farm  # which has two
    program: str
    folder: Path

    async def round(self, scenes: Mapping[str, Path], measured: Mapping[str, Measured]) -> None:
        """Render every scene once in every way."""
        for name, scene in scenes.items():
            await self.one.scale(1)
            await self.one.workers_ready()
            plain = self.folder / "plain"
            measured[name].seconds[PLAIN].append(await self._plain(scene, plain))
            measured[name].frames = count = len(list(plain.iterdir()))
            kept = await self._plain(scene, self.folder / "persistent", persistent=True)
            measured[name].seconds[PERSISTENT].append(kept)
            measured[name].seconds[TUTORIAL].append(await self._tutorial(scene, count))
            job = await self._farm(scene, measured[name], ONE)
            difference = _difference(job, self.one.share / job.id, plain)
            measured[name].difference = max(measured[name].difference, difference)
            await self.one.scale(0)
            await self._farm(scene, measured[name], COLD)
            await self.one.scale(0)
            await self.two.scale(2)
            await self.two.workers_ready()
            await self._farm(scene, measured[name], TWO)
            await self.two.scale(0)
            told = (
                f"{way} {times.seconds[way][-1]:.1f}" for way in WAYS if (times := measured[name])
            )
            print(f"{name}: {', '.join(told)} s", flush=True)

    async def _plain(self, scene: Path, folder: Path, *, persistent: bool = False) -> float:
        _emptied(folder)
        began = time.monotonic()
        await self._blender(scene, folder, persistent=persistent)
        return time.monotonic() - began

    async def _tutorial(self, scene: Path, count: int) -> float:
        folder = self.folder / "tutorial"
        _emptied(folder)
        began = time.monotonic()
        for first in range(1, count + 1, _TUTORIAL_BATCH):
            last = min(first + _TUTORIAL_BATCH - 1, count)
            await self._blender(scene, folder, first, last)
        return time.monotonic() - began

    async def _blender(
        self, scene: Path, folder: Path, *between: int, persistent: bool = False
    ) -> None:
        if blenders.is_interpreter(self.program):
            command = [self.program, str(_PLAIN_BLENDER), *["--persistent"] * persistent]
            command += [str(scene), str(folder), *map(str, between)]
        else:
            command = [self.program, "-b", "--factory-startup", str(scene), "-o", f"{folder}/"]
            if persistent:
                command += ["--python-expr", _KEEP]
            if between:
                command += ["-s", str(between[0]), "-e", str(between[1])]
            command.append("-a")
        process = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
        )
        try:
            if code := await process.wait():
                raise errors.UnavailableError(f"plain Blender left with code {code}")
        finally:
            if process.returncode is None:
                process.kill()

    async def _farm(self, scene: Path, measured: Measured, way: str) -> jobs.Job:
        """Let the farm render a new upload; frames say by their own time when they were there."""
        used = self.two if way == TWO else self.one
        loaded = (await self._snapshot()).sum(_LOADED) if way == ONE else 0.0
        began = time.time()
        if way == COLD:
            await used.scale(1)
        job_id = await used.client.upload(scene, {"force": "true"})
        uploaded = time.time()
        last: list[jobs.Job] = []
        before: list[_Snapshot] = []

        async def followed() -> None:
            if way == ONE:
                before.append(await self._after_first_frame(job_id))
            last.extend([view.job async for view in used.client.follow(job_id)][-1:])

        await used.beside(followed())
        job = last[-1]
        if before:
            self._note_costs(measured.costs, before[0], await self._snapshot())
        if job.state is not jobs.JobState.COMPLETED:
            raise errors.UnavailableError(f"job {job.id} {job.state}: {job.reason}")
        published = sorted(path.stat().st_mtime for path in _files(job, used.share / job.id))
        measured.seconds[way].append(published[-1] - began)
        if way == ONE:
            seconds = (await used.client.batches(job_id))[0].frame_seconds
            in_blender = before[0].sum(_LOADED) - loaded + seconds[min(seconds)]
            measured.first_frame.append(published[0] - uploaded)
            measured.beyond_first.append(published[0] - uploaded - in_blender)
        return job

    async def _after_first_frame(self, job_id: str) -> "_Snapshot":
        """Return where the worker stands once a job's first frame is published."""
        folder = self.one.share / job_id
        while not any(one.is_file() for one in folder.glob("[!.]*")):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        return await self._snapshot()

    async def _snapshot(self) -> "_Snapshot":
        (name,) = self.one.workers
        address = self.one.status_addresses[name]
        async with aiohttp.ClientSession() as http, http.get(f"{address}/metrics") as answer:
            return _Snapshot(time.monotonic(), await answer.text())

    def _note_costs(self, costs: Costs, before: "_Snapshot", after: "_Snapshot") -> None:
        """Note what all frames but the first took."""
        count = after.sum(_FRAMES) - before.sum(_FRAMES)
        cpu = after.sum(_CPU) - before.sum(_CPU)
        costs.cpu_per_frame.append(cpu / count)
        costs.share.append(cpu / (after.at - before.at))
        costs.calls_per_frame.append((after.sum(_CALLS) - before.sum(_CALLS)) / count)
        (worker,) = self.one.workers.values()
        costs.worker_memory = max(costs.worker_memory, _peak(worker.process.pid))
        for child in _children(worker.process.pid):
            costs.blender_memory = max(costs.blender_memory, _peak(child))


_FRAMES = r"blendrop_worker_frames_total\{.*\}"
_CPU = "process_cpu_seconds_total"
_LOADED = "blendrop_worker_scene_load_seconds_sum"
_CALLS = r'blendrop_worker_storage_calls_total\{.*service="(?:queue|table)".*\}'


@dataclass(frozen=True)
class _Snapshot:
    """The counters of a worker at one moment."""

    at: float
    text: str

    def sum(self, pattern: str) -> float:
        """Return the sum of every counter whose name and labels match."""
        return sum(map(float, re.findall(rf"(?m)^{pattern} (\S+)$", self.text)))


def _emptied(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


def _files(job: jobs.Job, folder: Path) -> list[Path]:
    numbers = job.frame_numbers()
    return [folder / frames.file_name(job.frame_pattern, number) for number in numbers]


def _difference(job: jobs.Job, folder: Path, plain: Path) -> float:
    """Return the largest pixel difference between the farm's frames and plain Blender's."""
    pairs = zip(_files(job, folder), sorted(plain.iterdir()), strict=True)
    return max(pixel_compare.max_difference(one, other) for one, other in pairs)


def _peak(pid: int) -> int:
    """Return the most bytes that a process has had at once; 0 if it is gone, or not on Linux."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) * 1024  # type: ignore[index]


def _children(pid: int) -> Sequence[int]:
    """Return the processes that a process has started."""
    found: list[int] = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue  # it has ended
        if parent == pid:
            found.append(int(stat.parent.name))
    return found


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0))
