"""How does a file become a job, once, although the connection may break anywhere?

The upload is resumed by its record, the job by its idempotency key: made of the file's content and
the settings, so that the same submission, whenever it is run again, is the same job.
"""

import hashlib
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx
import rich.progress
import typer

from blendrop import errors
from blendrop.cli import (
    command,
    farm_api,
    outcome,
    scene_file,
    terminal,
    upload,
    upload_record,
    views,
)

# Where the farm says that a scene is not there, or not as it must be.
_SCENE = {"/scene", "scene"}


@dataclass(frozen=True)
class Submission:
    """One file, and what is asked of it."""

    session: command.Session
    path: Path
    name: str  # that the scene has in the farm
    settings: Mapping[str, object]

    async def dry_run(self) -> views.Json:
        """Send the file; return what would be rendered."""
        return await self._sent(query={"dry_run": "true"})

    async def job(self, *, key: str = "", again: bool = False) -> views.Json:
        """Send the file and make the job, or find the one that this submission made before."""
        return await self._sent(key=str(uuid.uuid4()) if again else key)

    async def _sent(self, *, key: str = "", query: Mapping[str, str] | None = None) -> views.Json:
        shown = self.session.terminal
        shown.tell(f"reading {self.path}")
        file = await scene_file.read(self.path)
        async with httpx.AsyncClient(
            timeout=farm_api.TIMEOUT, mounts=dict(farm_api.NO_PROXY)
        ) as storage:
            with _progress(shown) as bar:
                task = bar.add_task("sending", total=file.size)
                sending = upload.Upload(
                    scene=file,
                    name=self.name,
                    api=self.session.api,
                    storage=storage,
                    records=lambda scene: self._record(scene, file.sha256),
                    progress=lambda sent: bar.advance(task, sent),
                )
                scene = await sending.send()
                try:
                    return await self._post(scene, file.sha256, key, query)
                except (errors.NotFoundError, outcome.RefusedError) as refused:
                    if sending.resent or not _about_the_scene(refused):
                        raise
                # It was sent once; perhaps somebody has removed it since.
                bar.reset(task)
                scene = await sending.send(anew=True)
            return await self._post(scene, file.sha256, key, query)

    def _record(self, scene: str, sha256: str) -> upload_record.UploadRecord:
        folder = Path(typer.get_app_dir("blendrop")) / "uploads"
        upload_record.remove_old(folder)
        return upload_record.of(
            folder,
            farm=self.session.api.name,
            scene=scene,
            sha256=sha256,
            tell=self.session.terminal.tell,
        )

    async def _post(
        self, scene: str, sha256: str, key: str, query: Mapping[str, str] | None
    ) -> views.Json:
        body: views.Json = {"scene": scene, "settings": dict(self.settings)}
        key = key or _key(sha256, body)
        headers = {} if query else {"Idempotency-Key": key}
        return await self.session.api.post("/jobs", body, query=query, headers=headers)


def _key(sha256: str, body: views.Json) -> str:
    text = json.dumps([sha256, body], sort_keys=True)
    return f"file-{hashlib.sha256(text.encode()).hexdigest()}"


def _about_the_scene(refused: errors.BlendropError) -> bool:
    problems = refused.problems if isinstance(refused, errors.InvalidRequestError) else ()
    return isinstance(refused, errors.NotFoundError) or any(
        problem.pointer in _SCENE for problem in problems
    )


def _progress(shown: terminal.Terminal) -> rich.progress.Progress:
    return rich.progress.Progress(
        rich.progress.TextColumn("{task.description}"),
        rich.progress.BarColumn(),
        rich.progress.DownloadColumn(binary_units=True),
        rich.progress.TransferSpeedColumn(),
        rich.progress.TimeRemainingColumn(),
        console=shown.err,
        disable=not shown.err.is_terminal,
        transient=True,
    )
