"""How do the frames of a job get into a folder, and which of them are missing?"""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

from blendrop import errors
from blendrop.cli import farm_api, fetch_record, frame_download, outcome, parallel, views
from blendrop.domain import frames

_DAMAGED = "damaged"  # or vanished: the farm has it done, and it is not here
_WAITING = {
    "rendering": "a worker is rendering it",
    "waiting": "it waits for a worker",
}


@dataclass(frozen=True)
class Missing:
    """A frame that is not here, and why."""

    frame: int
    state: str
    reason: str
    remedy: str


@dataclass
class Harvest:
    """What became of the frames that were asked for."""

    job: views.Job
    folder: Path
    fetched: list[int] = field(default_factory=list)
    kept: list[int] = field(default_factory=list)  # here already, and the same
    missing: list[Missing] = field(default_factory=list)

    @property
    def exit_code(self) -> outcome.ExitCode:
        """What a script is told."""
        if not self.missing:
            return outcome.ExitCode.DONE
        ended = outcome.OF_STATE.get(self.job.state)
        if ended is None and all(one.state != _DAMAGED for one in self.missing):
            return outcome.ExitCode.NOT_YET
        cancelled = outcome.ExitCode.JOB_CANCELLED
        return cancelled if ended is cancelled else outcome.ExitCode.JOB_FAILED

    def document(self) -> views.Json:
        """Return it for a program."""
        return {
            "job": self.job.id,
            "state": self.job.state,
            "folder": str(self.folder),
            "fetched": frames.canonical(self.fetched),
            "kept": frames.canonical(self.kept),
            "missing": [vars(one) for one in self.missing],
        }


@dataclass(frozen=True)
class Fetching:
    """Which frames are wanted, and how."""

    api: farm_api.FarmApi
    job_id: str
    folder: Path
    only: tuple[int, ...] = ()  # all, if empty
    at_once: int = 8
    follow: bool = False  # until the job has ended
    every: float = 1.0  # seconds between two looks at a job that is followed
    progress: Callable[[int, int], None] = lambda _done, _all: None
    arrived: Callable[[views.Frame], None] = lambda _: None

    async def run(self) -> Harvest:
        """Fetch what is done, and say what is missing.

        Raises:
            NotFoundError: there is no such job.
            InvalidRequestError: it has no such frames.
            UnavailableError: the farm is away; what is here stays.
            OSError: this machine cannot hold them.
        """
        settled: dict[int, frame_download.Outcome | errors.BlendropError] = {}
        download: frame_download.FrameDownload | None = None
        listed: tuple[int, str] | None = None
        async for view in self._views():
            now = (view.frames_done, view.job.state)
            if now == listed:
                continue  # the rate has changed, or the like: not worth a list of all frames
            listed = now
            answer = await self.api.get(farm_api.job(self.job_id, "/frames"))
            wanted = self._wanted(views.read(views.Frames, answer).frames)
            if download is None:
                download = self._download()
            await self._fetch_new(download, wanted, settled)
            if not self.follow or view.job.state in outcome.OF_STATE:
                break
        return self._harvest(view.job, wanted, settled)

    async def _views(self) -> AsyncIterator[views.JobView]:
        async for answer in self.api.changes(self.job_id, every=self.every):
            yield views.read(views.JobView, answer)

    def _wanted(self, listed: list[views.Frame]) -> list[views.Frame]:
        if not self.only:
            return listed
        by_number = {one.frame: one for one in listed}
        if strange := [number for number in self.only if number not in by_number]:
            raise errors.InvalidRequestError(
                errors.Problem(
                    pointer="--frames",
                    value=frames.canonical(strange),
                    reason=f"job {self.job_id} has no such frames",
                    remedy=f"Its frames are {frames.canonical(by_number) or 'none'}",
                )
            )
        return [by_number[number] for number in self.only]

    def _download(self) -> frame_download.FrameDownload:
        self.folder.mkdir(parents=True, exist_ok=True)
        record = fetch_record.FetchRecord(self.folder)
        record.load()
        return frame_download.FrameDownload(self.api, self.job_id, self.folder, record)

    async def _fetch_new(
        self,
        download: frame_download.FrameDownload,
        wanted: list[views.Frame],
        settled: dict[int, frame_download.Outcome | errors.BlendropError],
    ) -> None:
        async def fetch(frame: views.Frame) -> None:
            try:
                settled[frame.frame] = await download.fetch(frame)
            except (errors.NotFoundError, frame_download.DamagedError) as missing:
                settled[frame.frame] = missing
            else:
                self.arrived(frame)
            self.progress(len(settled), len(wanted))

        new = [one for one in wanted if one.state == "done" and one.frame not in settled]
        self.progress(len(settled), len(wanted))
        await parallel.each(new, fetch, at_once=self.at_once)

    def _harvest(
        self,
        job: views.Job,
        wanted: list[views.Frame],
        settled: dict[int, frame_download.Outcome | errors.BlendropError],
    ) -> Harvest:
        harvest = Harvest(job, self.folder)
        for frame in wanted:
            match settled.get(frame.frame):
                case "fetched":
                    harvest.fetched.append(frame.frame)
                case "kept":
                    harvest.kept.append(frame.frame)
                case errors.BlendropError() as failed:
                    again = "Run the same command again; frames that are here stay"
                    harvest.missing.append(Missing(frame.frame, _DAMAGED, str(failed), again))
                case None:
                    harvest.missing.append(_missing(job, frame))
        return harvest


def _missing(job: views.Job, frame: views.Frame) -> Missing:
    if frame.failure is not None and frame.state == "failed":
        failure = frame.failure
        return Missing(frame.frame, frame.state, failure.reason, failure.remedy)
    reason = _WAITING.get(frame.state, f"it is {frame.state}")
    remedy = f"Fetch again later, or with --follow: job {job.id} goes on"
    if job.state in outcome.OF_STATE:
        reason, remedy = f"the job is {job.state}: {job.reason}", f"blendrop retry {job.id}"
    return Missing(frame.frame, frame.state, reason, remedy)
