"""Why is nothing rendering?"""

import collections
import datetime
from collections.abc import Sequence
from dataclasses import dataclass

from blendrop.domain import jobs, workers

# KEDA looks every 15 s and a cold node pulls an image of gigabytes; what takes longer has a cause.
_SCALING_SECONDS = 600.0


@dataclass(frozen=True)
class FarmState:
    """What was seen of a farm at one moment."""

    now: datetime.datetime
    depth: int  # messages, hidden ones included
    oldest_waiting: datetime.datetime | None  # when the oldest message in sight was sent
    live: Sequence[workers.Worker]
    gone: Sequence[workers.Worker]  # thought dead, newest first
    open_jobs: Sequence[jobs.Job]

    @property
    def busy(self) -> list[workers.Worker]:
        """The workers that hold a batch."""
        return [one for one in self.live if one.rendering is not None]


def why_nothing_renders(farm: FarmState) -> str:
    """Return the reason, in a sentence for a person; empty: something renders."""
    if farm.busy:
        return _why_all_wait(farm.busy)
    if farm.depth == 0:
        return _why_no_messages(farm.open_jobs)
    active = [job for job in farm.open_jobs if job.state is not jobs.JobState.PAUSED]
    if not active:
        if farm.open_jobs:
            return "every open job is paused"
        return f"no job is open: {_batches(farm.depth)} left over from jobs that have ended"
    if not farm.live:
        return _why_no_worker(farm)
    return _why_idle(farm, active)


def _why_all_wait(some: Sequence[workers.Worker]) -> str:
    """Return what keeps every one of some workers from going on; empty: one does."""
    if not all(worker.waits_for for worker in some):
        return ""
    by_reason = collections.defaultdict(list)
    for worker in some:
        by_reason[worker.waits_for].append(worker.name)
    return "; ".join(
        f"{', '.join(names)} {'waits' if len(names) == 1 else 'wait'}: {reason}"
        for reason, names in by_reason.items()
    )


def _why_no_messages(open_jobs: Sequence[jobs.Job]) -> str:
    if not open_jobs:
        return "nothing waits"
    if all(job.state is jobs.JobState.PAUSED for job in open_jobs):
        return "every open job is paused"
    job = next(job for job in open_jobs if job.state is not jobs.JobState.PAUSED)
    if job.state is jobs.JobState.SUBMITTED:
        return f"job {job.id} is being submitted"
    return (
        f"no message is left on the queue for job {job.id}: the sweeper, which runs every minute, "
        "sends anew what was lost and ends what is through"
    )


def _why_no_worker(farm: FarmState) -> str:
    waiting = f"{_wait(farm.depth)}{_oldest(farm)}"
    if farm.oldest_waiting is None:
        return (
            f"scaling from zero: {waiting}, given back for another attempt or held by a worker "
            "that vanished"
        )
    if (farm.now - farm.oldest_waiting).total_seconds() <= _SCALING_SECONDS:
        return f"scaling from zero: {waiting}"
    last = ""
    if farm.gone:
        newest = farm.gone[0]
        last = f" The last one, {newest.name}, {_left(newest, farm.now)}."
    return (
        f"no worker has come: {waiting}.{last} Look at the scaler and at the logs of the workers' "
        "container"
    )


def _left(worker: workers.Worker, now: datetime.datetime) -> str:
    why = workers.why_dead(worker, now)
    return why if why.startswith("left") else f"was {why}"


def _why_idle(farm: FarmState, active: Sequence[jobs.Job]) -> str:
    unfit = [job for job in active if not any(_has_blender(one, job) for one in farm.live)]
    if len(unfit) == len(active):
        there = sorted({version for worker in farm.live for version in worker.blenders})
        others = f" (and {len(unfit) - 1} more jobs)" if len(unfit) > 1 else ""
        return (
            f"no worker has Blender {unfit[0].blender_version}, which job {unfit[0].id} needs"
            f"{others}; workers have {', '.join(there)}"
        )
    by_state = {one.state for one in farm.live}
    if by_state <= {workers.WorkerState.LEAVING}:
        return f"the workers that are left are leaving; {_wait(farm.depth)}{_oldest(farm)}"
    if not by_state & workers.FREE:
        return f"workers are starting Blender; {_wait(farm.depth)}{_oldest(farm)}"
    if waits := _why_all_wait([one for one in farm.live if one.state in workers.FREE]):
        return f"{_wait(farm.depth)}{_oldest(farm)}; {waits}"
    if farm.oldest_waiting is None:
        return (
            f"{_batches(farm.depth)} hidden for now: given back for another attempt after a delay, "
            "or held by a worker that vanished until its lease ends"
        )
    return f"a worker is about to take a batch: {_wait(farm.depth)}{_oldest(farm)}"


def _has_blender(worker: workers.Worker, job: jobs.Job) -> bool:
    return not job.blender_version or worker.has_blender(job.blender_version)


def _wait(count: int) -> str:
    return "1 batch waits" if count == 1 else f"{count} batches wait"


def _batches(count: int) -> str:
    return "1 batch is" if count == 1 else f"{count} batches are"


def _oldest(farm: FarmState) -> str:
    if farm.oldest_waiting is None:
        return ""
    waited = workers.how_long((farm.now - farm.oldest_waiting).total_seconds())
    return f" for {waited}" if farm.depth == 1 else f", the oldest for {waited}"
