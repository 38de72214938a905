"""How does a scene of any size get to the blob service, over a connection that may break?

In blocks, by Azure's REST API (Microsoft Learn, "Put Block" and "Put Block List") and a signed URL
that the farm gives: no SDK, and no key of the storage. Each block goes with its MD5, so that one
that was damaged on the way is refused. The blob is put together only where there is none yet: its
name holds the hash of the content, so that what stands there is this very file, and a job that
renders it never sees it change.
"""

import asyncio
import base64
import hashlib
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass, field

import httpx

from blendrop import errors
from blendrop.cli import farm_api, outcome, parallel, patience, upload_record, views
from blendrop.cli.scene_file import SceneFile

_VERSION = {"x-ms-version": "2021-12-02"}
_AT_ONCE = 4  # blocks on their way, each held in memory
_MOST_BLOCKS = 50_000  # of a blob
_SIGNATURES = 3  # that a request is tried with: an expired one is renewed, a forbidden one stays so


@dataclass
class Upload:
    """One scene on its way."""

    scene: SceneFile
    name: str  # that the person gives it
    api: farm_api.FarmApi
    storage: httpx.AsyncClient  # which must not carry the farm's key
    records: Callable[[str], upload_record.UploadRecord]  # by the blob's name
    progress: Callable[[int], None]  # is told how many bytes more are there
    resent: bool = field(default=False, init=False)  # whether this command has sent anything

    async def send(self, *, anew: bool = False) -> str:
        """Send what is missing; return the scene's name in the farm.

        With `anew`, the storage is asked whether the blob stands, rather than the record.

        Raises:
            UnavailableError: it could not be sent; what was, need not be sent again.
            InvalidRequestError: the farm or the storage refuses it, or the file has changed.
        """
        ticket = await self.sign()
        record = self.records(ticket.scene)
        if record.committed and not anew:
            self.progress(self.scene.size)
            return ticket.scene
        self.resent = True
        sending = _Sending(self, ticket, record)
        if not await sending.all_blocks_and_commit():
            record.forget()
            if not await sending.all_blocks_and_commit():
                raise errors.UnavailableError("the storage does not keep the blocks it is sent")
        record.commit()
        return ticket.scene

    async def sign(self) -> views.UploadTicket:
        """Ask the farm where to send the scene: to the same place each time."""
        body = {"name": self.name, "key": self.scene.sha256}
        return views.read(views.UploadTicket, await self.api.post("/uploads", body))


class _Sending:
    """The blocks of one upload, and the signature that they go by."""

    def __init__(
        self, upload: Upload, ticket: views.UploadTicket, record: upload_record.UploadRecord
    ) -> None:
        self._upload = upload
        self._scene = upload.scene
        self._ticket = ticket
        self._record = record
        self._signing = asyncio.Lock()
        self._block_size = max(ticket.block_size, -(-self._scene.size // _MOST_BLOCKS))

    async def all_blocks_and_commit(self) -> bool:
        """Tell whether the blob stands; if not, the storage lacks blocks that it once took."""
        starts = range(0, self._scene.size, self._block_size)
        await parallel.each(starts, self._send_block, at_once=_AT_ONCE)
        self._scene.check()
        ids = "".join(f"<Latest>{self._block_id(start)}</Latest>" for start in starts)
        response = await self._put(
            "comp=blocklist",
            f'<?xml version="1.0" encoding="utf-8"?><BlockList>{ids}</BlockList>'.encode(),
            {
                "If-None-Match": "*",
                "x-ms-meta-submission": "api",  # it starts no job of its own
                "Content-Type": "application/xml",
            },
        )
        if response.status_code == 409:
            return True  # BlobAlreadyExists: this very file was sent before
        if response.status_code == 400 and patience.detail(response) == "InvalidBlockList":
            return False
        self._check(response)
        return True

    def _block_id(self, start: int) -> str:
        # The ids of a blob must have one length. The block size belongs to it, since the same
        # number means other bytes when the farm changes it.
        return base64.b64encode(f"{start:015d}-{self._block_size:010d}".encode()).decode()

    async def _send_block(self, start: int) -> None:
        block_id = self._block_id(start)
        size = min(self._block_size, self._scene.size - start)
        if block_id not in self._record.sent:
            content = await asyncio.to_thread(self._scene.read_block, start, size)
            if len(content) != size:
                self._scene.check()
            digest = hashlib.md5(content, usedforsecurity=False).digest()
            response = await self._put(
                f"comp=block&blockid={urllib.parse.quote(block_id, safe='')}",
                content,
                {"Content-MD5": base64.b64encode(digest).decode()},
            )
            self._check(response)
            self._record.add(block_id)
        self._upload.progress(size)

    async def _put(self, query: str, content: bytes, headers: dict[str, str]) -> httpx.Response:
        """Send a request until it is answered, by a new signature where the old one has run out."""
        for _ in range(_SIGNATURES):
            ticket = self._ticket

            async def send(url: str = ticket.url) -> httpx.Response:
                return await self._upload.storage.put(
                    f"{url}{'&' if '?' in url else '?'}{query}",
                    content=content,
                    headers={**_VERSION, **headers},
                )

            response = await self._upload.api.waiting.answer(send, of=self._where)
            if response.status_code != 403:
                break
            async with self._signing:
                if self._ticket is ticket:  # nobody else has renewed it meanwhile
                    self._ticket = await self._upload.sign()
        return response

    @property
    def _where(self) -> str:
        return f"the storage at {urllib.parse.urlsplit(self._ticket.url).netloc}"

    def _check(self, response: httpx.Response) -> None:
        if response.is_success:
            return
        raise outcome.RefusedError(
            f"{self._where} refuses the scene",
            [
                errors.Problem(
                    pointer="scene_file",
                    value=str(self._scene.path),
                    reason=f"{response.status_code} {patience.detail(response)}",
                    remedy="Submit it again; if it is refused again, ask the farm's engineer",
                )
            ],
        )
