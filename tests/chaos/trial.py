"""How does one trial run: a farm, jobs, faults, healing, and the audit?"""

import asyncio
import contextlib
import os
import random
import re
import stat
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from blendrop import errors
from local import azurite, farm, farm_storage
from tests.chaos import audit, stand_in_blender
from tests.chaos.faults import Faults
from tests.chaos.faulty_storage import FaultyStorage
from tests.doubles.blend_file import head
from tests.doubles.watched_farm import SeenJob, WatchedFarm

_LEASE = 4  # seconds
_HEAL_SECONDS = 100.0  # from the last fault until everything must have ended
SETTINGS = {
    "BLENDROP_LOG_FORMAT": "json",
    "BLENDROP_LEASE_SECONDS": str(_LEASE),
    "BLENDROP_RETRY_SECONDS": "0.5",
    "BLENDROP_STALL_SECONDS": "2",
    "BLENDROP_STOP_GRACE_SECONDS": "2",
    "BLENDROP_SETTLING_SECONDS": "5",
}


@dataclass(frozen=True)
class _Cast:
    """Who renders what, and how each frame must look."""

    blenders: Mapping[str, str]
    upload: Callable[[WatchedFarm, random.Random, int], Awaitable[audit.Upload]]
    rehearse: Callable[[WatchedFarm], Awaitable[audit.Expected]]
    settings: Mapping[str, str]


async def run(
    seed: int, folder: Path, *, seconds: float = 20, job_count: int = 8, workers: int = 3
) -> audit.Found:
    """Run one trial; the same seed brings the same jobs and the same faults in the same order."""

    async def rehearse(_: WatchedFarm) -> audit.Expected:
        return stand_in_blender.pixels

    cast = _Cast({"5.0": _stand_in(folder)}, _upload, rehearse, {})
    return await _run(cast, seed, folder, seconds=seconds, job_count=job_count, workers=workers)


async def run_real(
    seed: int, folder: Path, blenders: Mapping[str, str], scene: bytes, *, seconds: float = 20
) -> audit.Found:
    """Run one trial with real Blender, whose frames must be those of a job without faults."""

    async def upload(farm: WatchedFarm, chances: random.Random, number: int) -> audit.Upload:
        size = str(chances.randint(1, 4))
        job = await farm.upload(f"real-{number}.blend", scene, frames="1-12", batch_size=size)
        return audit.Upload(job, "real", {})

    async def rehearse(farm: WatchedFarm) -> audit.Expected:
        view = await farm.until(await farm.upload("rehearsal.blend", scene, frames="1-12"))
        paths = farm.frame_paths(view.job)
        rehearsed = {number: audit.pixels(path) for number, path in enumerate(paths, 1)}
        return lambda _, frame, __: rehearsed[frame]

    patience = {"BLENDROP_STALL_SECONDS": "20"}  # a real Blender takes seconds to start
    cast = _Cast(blenders, upload, rehearse, patience)
    return await _run(cast, seed, folder, seconds=seconds, job_count=3, workers=2)


async def _run(
    cast: _Cast, seed: int, folder: Path, *, seconds: float, job_count: int, workers: int
) -> audit.Found:
    chances = random.Random(seed)
    async with contextlib.AsyncExitStack() as stack:
        emulator = contextlib.AsyncExitStack()
        stack.push_async_callback(emulator.aclose)
        log = folder / "azurite.log"
        running = await emulator.enter_async_context(
            azurite.running(folder / "storage", log=log, keep=True)
        )
        direct = running.connection_string
        ports = [int(port) for port in re.findall(r"127\.0\.0\.1:(\d+)", direct)]

        async def restart() -> None:
            await emulator.aclose()
            await asyncio.sleep(chances.uniform(0.2, 1.5))
            await emulator.enter_async_context(
                azurite.running(
                    folder / "storage", log=log, ports=(ports[0], ports[1], ports[2]), keep=True
                )
            )

        restarting = asyncio.Lock()

        async def restart_once() -> None:
            async with restarting:
                await restart()

        await farm_storage.create(direct)
        storage = FaultyStorage(chances)
        await stack.enter_async_context(storage.before(direct))
        plan = farm.Plan(
            folder=folder,
            share=folder / "share",
            blenders=cast.blenders,
            workers=workers,
            connection_string=storage.connection_string,
            short_lives=1_000_000,
            settings={**SETTINGS, **_reached_into(folder), **cast.settings},
        )
        watched = WatchedFarm(
            await stack.enter_async_context(farm.running(plan)), plan, direct=direct
        )
        expected = await cast.rehearse(watched)
        uploads = [await cast.upload(watched, chances, number) for number in range(job_count)]
        faults = Faults(watched, storage, restart_once, chances, _LEASE)
        names = [upload.job for upload in uploads]
        await watched.running.beside(faults.inject(seconds, names))
        views = await _ended(watched, names)
        found = await audit.audit(watched, uploads, views, faults.malformed, expected)
        found.injected = storage.injected
        return found


def _reached_into(folder: Path) -> dict[str, str]:
    """Return what lets processes of the farm run `in_workers`."""
    ours, root = Path(__file__).parent / "in_workers", Path(__file__).parents[2]
    return {"PYTHONPATH": f"{ours}{os.pathsep}{root}", "CHAOS_FOLDER": str(folder)}


def _stand_in(folder: Path) -> str:
    program = folder / "blender"
    script = Path(stand_in_blender.__file__)
    program.write_text(f'#!/bin/sh\nexec {sys.executable} {script} "$@"\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return str(program)


async def _upload(farm: WatchedFarm, chances: random.Random, number: int) -> audit.Upload:
    last = chances.randint(4, 40)
    bad: dict[str, str] = {}
    if chances.random() < 0.4:
        some = chances.sample(range(1, last + 1), chances.randint(1, max(1, last // 8)))
        bad = {str(frame): chances.choice(stand_in_blender.FAULTS) for frame in some}
    scene_id = f"scene-{number}-{chances.getrandbits(64):x}"
    content = audit.scene(
        scene_id,
        head(("Scene", 1, last), version="5.0", large=True),
        bad,
        chances.uniform(0.05, 0.3),
    )
    metadata = {"batch_size": str(chances.randint(1, 9))}
    if chances.random() < 0.3:
        metadata["samples"] = str(chances.randint(1, 99))
    name = f"Küche/{number} %.blend"
    return audit.Upload(await farm.upload(name, content, **metadata), scene_id, bad)


async def _ended(farm: WatchedFarm, names: list[str]) -> dict[str, SeenJob]:
    """Return each job as it stands when all have ended, or when they should have."""
    views: dict[str, SeenJob] = {}
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_HEAL_SECONDS):
            while True:
                for name in names:
                    if name not in views or not views[name].job.ended:
                        with contextlib.suppress(errors.NotFoundError, errors.UnavailableError):
                            views[name] = await farm.look(name)
                ended = sum(view.job.ended for view in views.values())
                if ended == len(names) and not await farm.depth():
                    break
                await asyncio.sleep(0.3)
    # A worker may have been ended between the last file and the row that the view is made of.
    return {name: await farm.look(name) for name in views}
