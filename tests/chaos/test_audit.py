"""Would the audit see what it says it does not see? Each kind of harm is planted once."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from blendrop import errors
from blendrop.domain import batches, frames, job_settings, jobs, usage
from tests.chaos import audit, renders, stand_in_blender
from tests.chaos.person import Asked
from tests.chaos.renders import Render
from tests.doubles.blend_file import head
from tests.doubles.clock import START
from tests.doubles.watched_farm import SeenJob

JOB = "shot-000000000001"


class LeftBehind:
    """What the audit looks at, made by hand."""

    def __init__(self, share: Path) -> None:
        self.share = share
        self.on_queue: dict[str, int] = {}
        self.renders = [Render(frame, 10.0 + frame, 10.5 + frame) for frame in (1, 2, 3)]
        # The bad one crashes on every attempt, which is no waste.
        self.renders += [Render(4, 20.0 + attempt, None) for attempt in range(3)]
        self.asked: Sequence[Asked] = ()
        self.disturbed: Sequence[tuple[float, float]] = ()
        self.strange: Sequence[str] = ()
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
            frames_taken_over=0,
            frames_failed="4",
            frames_left=1,
            frames_per_second=1.0,
            eta_seconds=None,
            attempts=3,
            render_seconds=1,
            wasted_seconds=1,
            worker_seconds=5,
            idle_seconds=0,
            used=usage.Usage(),
            cost=None,
            workers=(),
            failures=(failure,),
            flagged=(),
            batches=(batch,),
        )
        asked = job.settings.model_dump(include=set(job_settings.PIXELS))
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

    def change(self, **changes: object) -> None:
        """Change the job's row."""
        job = self.view.job.model_copy(update=changes)
        self.view = self.view.model_copy(update={"job": job})


async def audited(left: LeftBehind, malformed: int = 0) -> audit.Found:
    """Audit what is left of one job with one bad frame."""
    seen = audit.Witnessed(
        uploads=[audit.Upload(JOB, "s", {"4": "crash"})],
        views={JOB: left.view},
        renders={JOB: left.renders},
        asked=left.asked,
        malformed=malformed,
        disturbed=left.disturbed,
        strange=left.strange,
        lease=6,
    )
    return await audit.audit(left, seen)


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
    assert (found.problems, found.frames, found.wasted, found.cut_off) == ([], 4, 0, 0)


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
        (lambda left: left.renders.append(Render(1, 30.0, 31.0)), "wasted"),
        (lambda left: left.renders.append(Render(1, 30.0, None)), "cut_off"),
        (lambda left: left.change(state=jobs.JobState.CANCELLED), "wrong"),
        (lambda left: setattr(left, "strange", ["a worker broke"]), "wrong"),
        (lambda left: setattr(left, "asked", [Asked(JOB, "pause", 1, 61, 503)]), "stuck"),
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
    assert bool(found.problems) is (counted not in {"wasted", "cut_off"})


async def test_a_malformed_message_that_vanished_is_lost(tmp_path: Path) -> None:
    """It must lie on the poison queue."""
    assert (await audited(LeftBehind(tmp_path), malformed=1)).lost == 1


def _cancelled(tmp_path: Path) -> LeftBehind:
    """Return what is left of a job that a person cancelled at 100 s, with one frame missing."""
    left = LeftBehind(tmp_path)
    left.change(state=jobs.JobState.CANCELLED)
    left.path(3).unlink()
    batch = left.view.batches[0].model_copy(
        update={"failures": (), "state": batches.BatchState.CANCELLED}
    )
    left.view = left.view.model_copy(update={"batches": (batch,)})
    left.asked = [Asked(JOB, "cancel", 98, 100, 200)]
    return left


async def test_a_cancelled_job_need_not_be_whole(tmp_path: Path) -> None:
    """What is missing of it is not lost, and what was begun before the next renewal is no harm."""
    left = _cancelled(tmp_path)
    left.renders += [Render(3, 99, None), Render(3, 103.4, None)]

    found = await audited(left)
    assert (found.problems, found.cancelled, found.lost) == ([], 1, 0)


async def test_what_is_begun_after_a_cancellation_is_seen(tmp_path: Path) -> None:
    """After a third of the lease; after all of it, where renewing was hindered."""
    left = _cancelled(tmp_path)
    left.renders.append(Render(3, 104.0, None))
    assert (await audited(left)).wrong == 1

    left.disturbed = [(99.0, 101.0)]
    assert (await audited(left)).wrong == 0
    left.renders.append(Render(3, 108.0, 108.5))
    found = await audited(left)
    assert found.wrong == 1
    assert "frame 3 of" in found.problems[0]


@pytest.mark.parametrize(
    "harm",
    [
        _open_batch,
        lambda left: left.change(state=jobs.JobState.COMPLETED),
        lambda left: left.change(state=jobs.JobState.RENDERING),
        lambda left: left.on_queue.update({"render-batches": 1}),
        lambda left: left.path(1).write_bytes(left.path(2).read_bytes()),
        lambda left: (left.share / JOB / ".part-1").touch(),
    ],
)
async def test_what_is_wrong_with_a_cancelled_job_is_seen(
    tmp_path: Path, harm: Callable[[LeftBehind], object]
) -> None:
    """It is cancelled, with no batch open, no message, no half file; and what it has is right."""
    left = _cancelled(tmp_path)
    harm(left)
    assert (await audited(left)).problems


async def test_a_job_that_was_tried_again_must_be_whole(tmp_path: Path) -> None:
    """What is rendered after the retry is no harm, but between cancelling and retrying it is."""
    left = LeftBehind(tmp_path)
    left.asked = [Asked(JOB, "cancel", 98, 100, 200), Asked(JOB, "retry", 110, 112, 200)]
    left.renders.append(Render(3, 111.0, None))
    assert (await audited(left)).problems == []

    left.path(3).unlink()
    left.renders.append(Render(3, 109.0, None))
    found = await audited(left)
    assert (found.lost, found.wrong, found.cancelled) == (1, 1, 0)


async def test_a_refused_cancellation_changes_nothing(tmp_path: Path) -> None:
    """The job had ended before."""
    left = LeftBehind(tmp_path)
    left.asked = [dataclasses.replace(Asked(JOB, "cancel", 1, 2, 200), status=409)]
    assert (await audited(left)).problems == []


def test_what_a_stand_in_noted_survives_its_end(tmp_path: Path) -> None:
    """By SIGKILL in the middle of a frame: that it had begun, and what it had ended before."""
    notes, scene = tmp_path / "notes", tmp_path / "s.blend"
    notes.mkdir()
    spec = audit.scene("s", head(("S", 1, 9), version="5.0", large=True), {"2": "hang"}, 0.01)
    scene.write_bytes(spec)
    command_read, command_write = os.pipe()
    answer_read, answer_write = os.pipe()
    arguments = ["--notes", str(notes), "--pipe", str(command_read), str(answer_write)]
    with (
        subprocess.Popen(
            [sys.executable, stand_in_blender.__file__, *arguments],
            pass_fds=(command_read, answer_write),
        ) as running,
        os.fdopen(command_write, "w", buffering=1) as commands,
        os.fdopen(answer_read) as answers,
    ):
        os.close(command_read)
        os.close(answer_write)
        load: dict[str, object] = {"scene_file": str(scene), "settings": {}}
        asked = [{"command": "load", **load}]
        asked += [
            {"command": "render", "frame": frame, "path": str(tmp_path / f"{frame}.png")}
            for frame in (1, 2)
        ]
        for one in asked:
            commands.write(json.dumps(one) + "\n")
        said = [json.loads(answers.readline())["event"] for _ in range(3)]
        while len(renders.noted(notes, "s")) < 2:
            time.sleep(0.01)  # frame 2 hangs as soon as it has begun
        running.send_signal(signal.SIGKILL)

    assert said == ["ready", "loaded", "rendered"]
    first, second = renders.noted(notes, "s")
    assert (first.frame, second.frame, second.ended) == (1, 2, None)
    assert first.ended is not None
    assert first.began < first.ended <= second.began
    assert renders.noted(notes, "another") == []
