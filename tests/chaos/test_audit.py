"""Would the audit see what it says it does not see? Each kind of harm is planted once."""

from collections.abc import Callable
from pathlib import Path

import pytest

from blendrop import errors
from blendrop.domain import batches, frames, job_settings, jobs
from tests.chaos import audit, stand_in_blender
from tests.doubles.clock import START
from tests.doubles.watched_farm import SeenJob

JOB = "shot-000000000001"


class LeftBehind:
    """What the audit looks at, made by hand."""

    def __init__(self, share: Path) -> None:
        self.share = share
        self.on_queue: dict[str, int] = {}
        self.rendered: dict[int, int] = {1: 1, 2: 1, 3: 1}
        failure = batches.FrameFailure(
            frame=4,
            attempts=3,
            failure_class=errors.FailureClass.CRASH,
            reason="Blender crashed",
            remedy="Look",
            worker="w1",
        )
        batch = batches.Batch(
            job=JOB,
            number=0,
            frames="1-4",
            state=batches.BatchState.FAILED,
            frames_done=3,
            failures=(failure,),
        )
        job = jobs.Job(
            id=JOB,
            state=jobs.JobState.FAILED,
            reason="1 of 4 frames failed",
            scene=jobs.SceneRef(name="s.blend", etag="1", size=1),
            settings=job_settings.JobSettings(),
            frames="1-4",
            frame_count=4,
            batch_size=4,
            batch_count=1,
            frame_pattern="frame_####.png",
            created=START,
            changed=START,
        )
        self.view = SeenJob(
            job=job,
            frames_done=3,
            frames_failed="4",
            frames_left=1,
            frames_per_second=1.0,
            eta_seconds=None,
            attempts=3,
            render_seconds=1,
            wasted_seconds=1,
            worker_seconds=5,
            cost=None,
            workers=(),
            failures=(failure,),
            flagged=(),
            batches=(batch,),
        )
        asked = job.settings.model_dump(exclude=audit.NOT_BLENDERS)
        (share / JOB).mkdir(parents=True)
        for frame in (1, 2, 3):
            rgb = stand_in_blender.pixels("s", frame, asked)
            self.path(frame).write_bytes(stand_in_blender.png(rgb))

    def path(self, frame: int) -> Path:
        """Return where a frame stands."""
        return self.share / JOB / frames.file_name("frame_####.png", frame)

    async def depth(self, queue: str = "render-batches") -> int:
        """Return how many messages a queue holds."""
        return self.on_queue.get(queue, 0)

    def times_rendered(self, job_id: str) -> dict[int, int]:
        """Return how often each frame was rendered."""
        return self.rendered

    def change(self, **changes: object) -> None:
        """Change the job's row."""
        job = self.view.job.model_copy(update=changes)
        self.view = self.view.model_copy(update={"job": job})


async def audited(left: LeftBehind, malformed: int = 0) -> audit.Found:
    """Audit what is left of one job with one bad frame."""
    upload = audit.Upload(JOB, "s", {"4": "crash"})
    return await audit.audit(left, [upload], {JOB: left.view}, malformed)


def _swap(left: LeftBehind) -> None:
    left.path(1).write_bytes(left.path(2).read_bytes())


def _forget_failure(left: LeftBehind) -> None:
    batch = left.view.batches[0].model_copy(update={"failures": ()})
    left.view = left.view.model_copy(update={"batches": (batch,)})


def _open_batch(left: LeftBehind) -> None:
    batch = left.view.batches[0].model_copy(update={"state": batches.BatchState.QUEUED})
    left.view = left.view.model_copy(update={"batches": (batch,)})


async def test_what_is_right_is_found_right(tmp_path: Path) -> None:
    """Three frames whole, one failed with its reason."""
    found = await audited(LeftBehind(tmp_path))
    assert (found.problems, found.frames, found.wasted) == ([], 4, 0)


@pytest.mark.parametrize(
    ("harm", "counted"),
    [
        (lambda left: left.path(2).unlink(), "lost"),
        (_swap, "wrong"),
        (lambda left: left.path(9).write_bytes(b""), "duplicated"),
        (lambda left: (left.share / JOB / ".part-1").touch(), "duplicated"),
        (lambda left: left.change(state=jobs.JobState.COMPLETED), "wrong"),
        (lambda left: left.change(state=jobs.JobState.RENDERING), "stuck"),
        (_forget_failure, "lost"),
        (_open_batch, "wrong"),
        (lambda left: left.on_queue.update({"render-batches": 1}), "stuck"),
        (lambda left: left.rendered.update({1: 2}), "wasted"),
    ],
)
async def test_every_harm_is_counted(
    tmp_path: Path, harm: Callable[[LeftBehind], object], counted: str
) -> None:
    """And told in words, unless it is only waste."""
    left = LeftBehind(tmp_path)
    harm(left)
    found = await audited(left)
    assert getattr(found, counted) > 0
    assert bool(found.problems) is (counted != "wasted")


async def test_a_malformed_message_that_vanished_is_lost(tmp_path: Path) -> None:
    """It must lie on the poison queue."""
    assert (await audited(LeftBehind(tmp_path), malformed=1)).lost == 1
