"""How does one trial run: a farm, jobs, faults, healing, and the audit?"""

import asyncio
import contextlib
import os
import re
import stat
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from blendrop import errors
from local import azurite, farm, farm_storage
from tests.chaos import audit, plan, renders, stand_in_blender
from tests.chaos.faults import Faults
from tests.chaos.faulty_storage import FaultyStorage
from tests.chaos.person import Person
from tests.chaos.plan import PlannedJob
from tests.chaos.renders import Render
from tests.doubles.blend_file import head
from tests.doubles.watched_farm import SeenJob, WatchedFarm

_LEASE = 4  # seconds
_HEAL_SECONDS = 100.0  # from the last fault until everything must have ended
SETTINGS = {
    "BLENDROP_LOG_FORMAT": "json",
    "BLENDROP_LEASE_SECONDS": str(_LEASE),
    "BLENDROP_RETRY_SECONDS": "0.5",
    "BLENDROP_STALL_SECONDS": "2",
    "BLENDROP_BATCH_SECONDS": "0.5",
    "BLENDROP_STOP_GRACE_SECONDS": "2",
    "BLENDROP_SETTLING_SECONDS": "5",
}


@dataclass(frozen=True)
class _Cast:
    """Who renders what, how each frame must look, and how is seen what was rendered."""

    blenders: Mapping[str, str]
    upload: Callable[[WatchedFarm, PlannedJob], Awaitable[audit.Upload]]
    rehearse: Callable[[WatchedFarm], Awaitable[audit.Expected]]
    renders: Callable[[WatchedFarm, audit.Upload], Sequence[Render]]
    settings: Mapping[str, str]


async def run(
    seed: int, folder: Path, *, seconds: float = 20, job_count: int = 8, workers: int = 3
) -> audit.Found:
    """Run one trial; the same seed brings the same jobs and the same faults at the same moments."""
    notes = folder / "notes"
    notes.mkdir()

    async def rehearse(_: WatchedFarm) -> audit.Expected:
        return stand_in_blender.pixels

    def noted(_: WatchedFarm, upload: audit.Upload) -> Sequence[Render]:
        return renders.noted(notes, upload.scene_id)

    planned = plan.of(seed, seconds=seconds, job_count=job_count, workers=workers)
    cast = _Cast({"5.0": _stand_in(folder, notes)}, _upload, rehearse, noted, {})
    return await _run(cast, planned, seed, folder, workers=workers)


async def run_real(
    seed: int, folder: Path, blenders: Mapping[str, str], scene: bytes, *, seconds: float = 20
) -> audit.Found:
    """Run one trial with real Blender, whose frames must be those of a job without faults."""

    async def upload(farm: WatchedFarm, job: PlannedJob) -> audit.Upload:
        sizes = {name: text for name, text in job.metadata.items() if name == "batch_size"}
        job_id = await farm.upload(f"real-{job.number}.blend", scene, frames="1-12", **sizes)
        return audit.Upload(job_id, "real", {})

    async def rehearse(farm: WatchedFarm) -> audit.Expected:
        view = await farm.until(await farm.upload("rehearsal.blend", scene, frames="1-12"))
        paths = farm.frame_paths(view.job)
        rehearsed = {number: audit.pixels(path) for number, path in enumerate(paths, 1)}
        return lambda _, frame, __: rehearsed[frame]

    def logged(farm: WatchedFarm, upload: audit.Upload) -> Sequence[Render]:
        return renders.logged(farm, upload.job)

    patience = {"BLENDROP_STALL_SECONDS": "20"}  # a real Blender takes seconds to start
    planned = plan.of(seed, seconds=seconds, job_count=3, workers=2)
    cast = _Cast(blenders, upload, rehearse, logged, patience)
    return await _run(cast, planned, seed, folder, workers=2)


async def _run(
    cast: _Cast, planned: plan.Plan, seed: int, folder: Path, *, workers: int
) -> audit.Found:
    async with contextlib.AsyncExitStack() as stack:
        emulator = contextlib.AsyncExitStack()
        stack.push_async_callback(emulator.aclose)
        log = folder / "azurite.log"
        running = await emulator.enter_async_context(
            azurite.running(folder / "storage", log=log, keep=True)
        )
        direct = running.connection_string
        ports = [int(port) for port in re.findall(r"127\.0\.0\.1:(\d+)", direct)]
        restarting = asyncio.Lock()

        async def restart(down: float) -> None:
            async with restarting:
                await emulator.aclose()
                await asyncio.sleep(down)
                await emulator.enter_async_context(
                    azurite.running(
                        folder / "storage", log=log, ports=(ports[0], ports[1], ports[2]), keep=True
                    )
                )

        await farm_storage.create(direct)
        storage = FaultyStorage(seed)
        await stack.enter_async_context(storage.before(direct))
        farm_plan = farm.Plan(
            folder=folder,
            share=folder / "share",
            blenders=cast.blenders,
            workers=workers,
            apart=True,
            connection_string=storage.connection_string,
            short_lives=1_000_000,
            settings={**SETTINGS, **_reached_into(folder), **cast.settings},
        )
        watched = WatchedFarm(
            await stack.enter_async_context(farm.running(farm_plan)), farm_plan, direct=direct
        )
        expected = await cast.rehearse(watched)
        uploads = [await cast.upload(watched, job) for job in planned.jobs]
        names = [upload.job for upload in uploads]
        person = Person(watched)
        faults = Faults(watched, storage, restart, person, names, _LEASE)
        await watched.running.beside(faults.inject(planned.faults))
        seen = audit.Witnessed(
            uploads=uploads,
            views=await _ended(watched, names),
            renders={upload.job: cast.renders(watched, upload) for upload in uploads},
            asked=person.asked,
            malformed=faults.malformed,
            disturbed=faults.disturbed,
            strange=[*person.strange, *_broken_workers(watched)],
            lease=_LEASE,
            expected=expected,
        )
        found = await audit.audit(watched, seen)
        found.injected = faults.injected + storage.injected
        return found


def _broken_workers(watched: WatchedFarm) -> list[str]:
    """Return what ended workers that no fault may end: an error that nothing was to catch."""
    return [
        f"{line['worker']} broke: {line.get('exception', '')[-500:]}"
        for line in watched.log_lines("worker-*.log")
        if line.get("event") == "worker_failed" and "UnfitWorkerError" not in line["exception"]
    ]


def _reached_into(folder: Path) -> dict[str, str]:
    """Return what lets processes of the farm run `in_workers`."""
    ours, root = Path(__file__).parent / "in_workers", Path(__file__).parents[2]
    return {"PYTHONPATH": f"{ours}{os.pathsep}{root}", "CHAOS_FOLDER": str(folder)}


def _stand_in(folder: Path, notes: Path) -> str:
    program = folder / "blender"
    script = Path(stand_in_blender.__file__)
    program.write_text(f'#!/bin/sh\nexec {sys.executable} {script} --notes {notes} "$@"\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return str(program)


async def _upload(farm: WatchedFarm, job: PlannedJob) -> audit.Upload:
    content = audit.scene(
        job.scene_id,
        head(("Scene", 1, job.last_frame), version="5.0", large=True),
        job.bad,
        job.frame_seconds,
    )
    name = f"Küche/{job.number} %.blend"
    return audit.Upload(await farm.upload(name, content, **job.metadata), job.scene_id, job.bad)


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
                # What a worker that was killed left half copied the sweeper removes.
                half = [*farm.share.rglob(".part-*")]
                if ended == len(names) and not half and not await farm.depth():
                    break
                await asyncio.sleep(0.3)
    await asyncio.sleep(_LEASE)  # so that a worker that still renders for nobody is seen
    # A worker may have been ended between the last file and the row that the view is made of.
    return {name: await farm.look(name) for name in views}
