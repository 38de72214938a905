"""A whole farm in memory: the real use cases over the ports in memory and a real folder."""

import asyncio
import datetime
import itertools
from dataclasses import dataclass, field
from pathlib import Path

from blendrop import errors, ports
from blendrop.adapters import frame_folder, memory_storage
from blendrop.domain import (
    batch_sizes,
    batches,
    circuit_breaker,
    costs,
    frames,
    job_settings,
    jobs,
    usage,
)
from blendrop.usecases import control, farm, render, show, submit
from blendrop.usecases.known_rows import KnownRows
from blendrop.usecases.ledger import Ledger
from blendrop.usecases.render_frames import Rendering
from tests.doubles.clock import ManualClock
from tests.doubles.renderer import CopyingPreviews, ScriptedRenderer, TrustingVerifier

LEASE = datetime.timedelta(seconds=60)
MACHINE = usage.Machine(cpus=4, memory_gib=8)


@dataclass(frozen=True)
class OneScene:
    """Carries out `ports.SceneFiles` with a file that nobody reads."""

    missing: errors.BlendropError | None = None
    content: str = ""  # what its bytes are; empty: other ones in each version

    async def digest_of(self, scene: jobs.SceneRef) -> str:
        """Return what stands for its bytes, or raise what it is missing for."""
        if self.missing is not None:
            raise self.missing
        return self.content or f"{scene.name} {scene.etag}"

    async def path_of(self, scene: jobs.SceneRef) -> Path:
        """Return a path, or raise what it is missing for."""
        if self.missing is not None:
            raise self.missing
        return Path(scene.name)


@dataclass
class MemoryFarm:
    """Everything a use case needs, to be broken by tests at will."""

    folder: Path
    clock: ManualClock = field(default_factory=ManualClock)
    renderer: ScriptedRenderer = field(default_factory=ScriptedRenderer)
    verifier: TrustingVerifier = field(default_factory=TrustingVerifier)
    stopping: bool = False
    batch_seconds: float = 20
    scene_content: str = ""
    scene_missing: errors.BlendropError | None = None
    progress: ports.Progress = field(default_factory=ports.Progress)
    prices: costs.PriceTable = field(default_factory=lambda: costs.PriceTable(worker_hour=36))

    def __post_init__(self) -> None:
        self.scenes = memory_storage.MemorySceneStore()
        self.table = memory_storage.MemoryJobTable()
        self.queue = memory_storage.MemoryBatchQueue(self.clock)
        self.due_jobs = memory_storage.MemoryDueJobs()
        self.workers = memory_storage.MemoryWorkerTable()
        self.share = frame_folder.FrameFolder(self.folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.disk = self.folder.with_name(f"{self.folder.name}-disk")
        self.disk.mkdir()
        self._numbers = itertools.count(1)
        self._ledgers: dict[str, Ledger] = {}
        self._left: dict[str, set[tuple[str, int, int]]] = {}  # by worker: what it remembers

    def submission(self, *, newest_blender: str = "5.0") -> submit.Submission:
        """Return what submitting needs."""
        return submit.Submission(
            scenes=self.scenes,
            jobs=self.table,
            queue=self.queue,
            due_jobs=self.due_jobs,
            share=self.share,
            clock=self.clock,
            limits=job_settings.Limits(newest_blender=newest_blender, default_batch_size=4),
            settling=datetime.timedelta(minutes=2),
        )

    def control(self) -> control.Control:
        """Return what steering needs."""
        return control.Control(
            jobs=self.table,
            queue=self.queue,
            due_jobs=self.due_jobs,
            share=self.share,
            clock=self.clock,
        )

    def showing(self) -> show.Showing:
        """Return what looking needs."""
        return show.Showing(jobs=self.table, share=self.share, clock=self.clock, prices=self.prices)

    def watching(self) -> farm.Watching:
        """Return what looking at the farm needs."""
        return farm.Watching(
            jobs=self.table,
            queue=self.queue,
            depths=self.queue,
            workers=self.workers,
            clock=self.clock,
        )

    def rendering(self, worker: str = "w1", renderer: ScriptedRenderer | None = None) -> Rendering:
        """Return what a worker needs."""
        return Rendering(
            worker=worker,
            jobs=self.table,
            queue=self.queue,
            due_jobs=self.due_jobs,
            scenes=OneScene(self.scene_missing, self.scene_content),
            share=self.share,
            renderer=self._on_disk(renderer or self.renderer),
            verifier=self.verifier,
            previews=CopyingPreviews(),
            clock=self.clock,
            stopping=lambda: self.stopping,
            lease=LEASE,
            frame_attempts=3,
            retry_delay=datetime.timedelta(seconds=10),
            breaker=circuit_breaker.CircuitBreaker(),
            largest_image=1_000_000,
            known=KnownRows(LEASE / 3),
            batch_seconds=self.batch_seconds,
            left=self._left.setdefault(worker, set()),
            progress=self.progress,
            ledger=self._ledgers.setdefault(worker, Ledger(MACHINE, self.clock)),
            prices=self.prices,
        )

    def _on_disk(self, renderer: ScriptedRenderer) -> ScriptedRenderer:
        renderer.folder = self.disk
        return renderer

    async def queued_job(
        self,
        text: str = "1-4",
        *,
        batch_size: int = 4,
        cut_for: int = 0,
        webhook: str | None = None,
        max_cost: float | None = None,
        settings: job_settings.JobSettings | None = None,
    ) -> jobs.Job:
        """Return a job whose batches wait on the queue."""
        chosen = frames.parse(text, at_most=1000)
        now = self.clock.now()
        number = next(self._numbers)
        job = jobs.Job(
            id=f"shot-{number:012x}",
            state=jobs.JobState.SUBMITTED,
            reason="",
            scene=jobs.SceneRef(name="shot.blend", etag=f"0x{number}", size=1),
            settings=(settings or job_settings.JobSettings()).model_copy(
                update={"webhook": webhook, "max_cost": max_cost}
            ),
            blender_version="5.0",
            frames=frames.canonical(chosen),
            frame_count=len(chosen),
            batch_size=batch_size,
            cut_for=cut_for,
            batch_count=len(batch_sizes.planned(chosen, most=batch_size, workers=cut_for)),
            created=now,
            changed=now,
        )
        return await submit.finish(self.submission(), await self.table.add_job(job))

    async def receive(self) -> ports.Delivery:
        """Return the next message, which must be there."""
        delivery = await self.queue.receive(lease=LEASE)
        assert delivery is not None
        return delivery

    async def work(self, worker: str = "w1") -> render.Outcome:
        """Let a worker attend to the next message."""
        since = self.clock.elapsed()
        attended = await render.attend(self.rendering(worker), await self.receive(), since=since)
        return attended.outcome

    async def begin(self, worker: str = "w1") -> asyncio.Task[render.Outcome]:
        """Let a worker attend to the next message, and return once it holds a frame in hand."""
        begun, self.renderer.hold = asyncio.Event(), asyncio.Event()
        self.renderer.before = lambda _: begun.set()
        working = asyncio.create_task(self.work(worker))
        await asyncio.wait_for(begun.wait(), 5)
        await self.clock.settle()
        return working

    async def render_for(self, seconds: float, worker: str = "w1") -> render.Outcome:
        """Let a worker render the next batch, which takes so long."""
        working = await self.begin(worker)
        await self.clock.advance(seconds)
        assert self.renderer.hold is not None
        self.renderer.hold.set()
        return await working

    async def job(self, job_id: str) -> jobs.Job:
        """Return a job's row."""
        return (await self.table.get_job(job_id)).row

    async def batch(self, job_id: str, number: int = 0) -> batches.Batch:
        """Return a batch's row."""
        return (await self.table.get_batch(job_id, number)).row

    def files(self, job_id: str) -> list[str]:
        """Return the names of a job's finished frames, and of whatever else lies in its folder."""
        folder = self.folder / job_id
        return sorted(path.name for path in folder.iterdir()) if folder.exists() else []
