"""How is a worker put together, and with which code does it leave?

0: it was asked to stop, or was idle for its idle time. 1: it cannot go on, and is to be replaced.
"""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator

import structlog

from blendrop import __version__, errors, ports, settings, telemetry, wiring
from blendrop.redaction import Redactor
from blendrop.usecases.ledger import Ledger
from container_worker import machine, processes, status_server
from container_worker.activity import Activity
from container_worker.blender import Bounds
from container_worker.blender_renderer import BlenderRenderer
from container_worker.heartbeat import Heartbeat
from container_worker.metrics import AllTold, Metrics
from container_worker.receive_loop import Stopping, run
from container_worker.scene_cache import SceneCache
from container_worker.shared_cores import SharedCores

log = structlog.stdlib.get_logger("container_worker")

_LAST_SECONDS = 2.0  # for the last charge: a worker that leaves has little time


def main() -> int:
    """Work until there is nothing more to do; return the exit code."""
    try:
        chosen = settings.read(settings.WorkerSettings, os.environ)
    except errors.InvalidRequestError as invalid:
        telemetry.configure("json", Redactor())
        log.critical("worker_failed", reason=str(invalid))
        return 1
    processes.shield()
    redactor = Redactor(chosen.secrets)
    telemetry.configure(chosen.log_format, redactor, worker=wiring.worker_name(chosen))
    try:
        asyncio.run(_work(chosen, redactor))
    except errors.BlendropError as failed:
        log.exception("worker_failed", reason=str(failed))
        return 1
    log.info("worker_left")
    return 0


async def _work(chosen: settings.WorkerSettings, redactor: Redactor) -> None:
    stopping = Stopping()
    clock = wiring.clock()
    who = {
        "service.name": "blendrop-worker",
        "service.instance.id": wiring.worker_name(chosen),
        "service.version": __version__,
    }
    metrics = Metrics(wiring.metric_exporters(chosen), resource=who)
    spans = wiring.spans(chosen, redactor, resource=who)
    worker = machine.describe(chosen, clock)
    age = (worker.heard - worker.started).total_seconds()
    ledger = Ledger(worker.machine, clock, age=age)
    activity = Activity(
        worker, clock=clock, metrics=metrics, charged=lambda: ledger.charged_seconds
    )

    def stop() -> None:
        stopping.request()
        activity.leaving("asked to stop")

    loop = asyncio.get_running_loop()
    for wanted in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(wanted, stop)
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
        progress=activity,
        spans=spans,
    )
    metrics.watch_memory(lambda: renderer.memory)
    calls = AllTold(metrics, ledger)
    store = wiring.storage(chosen.storage, calls=calls)
    world = wiring.rendering(
        store,
        chosen,
        scenes=SceneCache(
            store.scenes,
            scratch / "scenes",
            largest=chosen.scene_cache_bytes,
            progress=activity,
        ),
        renderer=renderer,
        stopping=stopping.requested.is_set,
        progress=activity,
        traces=spans,
        ledger=ledger,
        calls=calls,
    )
    cores = SharedCores(
        chosen.scratch / "machine",
        worker.name,
        cores=worker.cpus,
        used=lambda: renderer.cores_used,
    )
    heartbeat = Heartbeat(store.workers, activity, clock, seconds=chosen.heartbeat_seconds)
    try:
        async with (
            status_server.serving(
                activity, metrics, host=chosen.status_host, port=chosen.status_port
            ),
            heartbeat.beating(),
            _told_why(activity, stopping, chosen),
            _charged(ledger, store.jobs),
        ):
            await renderer.warm_up()
            ledger.warm()
            activity.ready()
            log.info("worker_ready", blenders=list(chosen.commands()))
            async with cores.told():
                await run(
                    world,
                    stopping,
                    cores,
                    poll_seconds=chosen.poll_seconds,
                    idle_seconds=chosen.idle_seconds,
                    grace_seconds=chosen.stop_grace_seconds,
                    failed_jobs=chosen.failed_jobs,
                )
    finally:
        await renderer.close()
        await store.clients.close()
        await asyncio.gather(*(asyncio.to_thread(one.close) for one in (spans, metrics)))


@contextlib.asynccontextmanager
async def _told_why(
    activity: Activity, stopping: Stopping, chosen: settings.WorkerSettings
) -> AsyncIterator[None]:
    """Note why the worker ends when the block does."""
    try:
        yield
    except Exception as failed:
        activity.left(str(failed) or type(failed).__name__, unfit=True)
        raise
    asked = stopping.requested.is_set()
    idle = f"idle for its idle time, {chosen.idle_seconds:g} s"
    activity.left("asked to stop" if asked else idle)


@contextlib.asynccontextmanager
async def _charged(ledger: Ledger, jobs: ports.JobTable) -> AsyncIterator[None]:
    """Charge the last job, when the block ends, with the time that the worker waited since."""
    try:
        yield
    finally:
        try:
            await asyncio.wait_for(ledger.leave(jobs), _LAST_SECONDS)
        except TimeoutError:
            log.warning("last_wait_not_charged", reason="the storage did not answer in time")


if __name__ == "__main__":
    sys.exit(main())
