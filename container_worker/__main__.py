"""How is a worker put together, and with which code does it leave?

0: it was asked to stop, or was idle for its idle time. 1: it cannot go on, and is to be replaced.
"""

import asyncio
import os
import signal
import sys

import structlog

from blendrop import errors, settings, telemetry, wiring
from container_worker import processes
from container_worker.blender import Bounds
from container_worker.blender_renderer import BlenderRenderer
from container_worker.receive_loop import Stopping, run
from container_worker.scene_cache import SceneCache

log = structlog.stdlib.get_logger("container_worker")


def main() -> int:
    """Work until there is nothing more to do; return the exit code."""
    try:
        chosen = settings.read(settings.WorkerSettings, os.environ)
    except errors.InvalidRequestError as invalid:
        sys.stderr.write(f"worker: {invalid}\n")
        return 1
    processes.shield()
    telemetry.configure(chosen.log_format, worker=wiring.worker_name(chosen))
    try:
        asyncio.run(_work(chosen))
    except errors.BlendropError as failed:
        log.exception("worker_failed", reason=str(failed))
        return 1
    log.info("worker_left")
    return 0


async def _work(chosen: settings.WorkerSettings) -> None:
    stopping = Stopping()
    loop = asyncio.get_running_loop()
    for wanted in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(wanted, stopping.request)
    scratch = chosen.scratch / wiring.worker_name(chosen)
    renderer = BlenderRenderer(
        chosen.commands(),
        scratch=scratch / "blender",
        bounds=Bounds(
            load_seconds=chosen.load_seconds,
            frame_seconds=chosen.frame_seconds,
            stall_seconds=chosen.stall_seconds,
            memory_bytes=chosen.blender_memory_mib * 2**20,
            device=chosen.cycles_device,
        ),
    )
    store = wiring.storage(chosen.storage)
    try:
        await renderer.warm_up()
        log.info("worker_ready", blenders=list(chosen.commands()))
        await run(
            wiring.rendering(
                store,
                chosen,
                scenes=SceneCache(
                    store.scenes, scratch / "scenes", largest=chosen.scene_cache_bytes
                ),
                renderer=renderer,
                stopping=stopping.requested.is_set,
            ),
            stopping,
            poll_seconds=chosen.poll_seconds,
            idle_seconds=chosen.idle_seconds,
            grace_seconds=chosen.stop_grace_seconds,
            failed_jobs=chosen.failed_jobs,
        )
    finally:
        await renderer.close()
        await store.clients.close()


if __name__ == "__main__":
    sys.exit(main())
