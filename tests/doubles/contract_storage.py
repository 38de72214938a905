"""The blob service's part of an upload by blocks, as Azure documents it."""

import base64
import hashlib
import re
from dataclasses import dataclass, field

from aiohttp import web


@dataclass
class ContractStorage:
    """Blobs, and blocks that are none yet."""

    signature: str = "s1"  # the one that is taken
    blobs: dict[str, bytes] = field(default_factory=dict)
    metadata: dict[str, dict[str, str]] = field(default_factory=dict)
    blocks: dict[str, dict[str, bytes]] = field(default_factory=dict)

    async def handle(self, request: web.Request, name: str) -> web.Response:
        """Take a block, or make a blob of some."""
        content = await request.read()
        if request.query.get("sig") != f"{self.signature}+=":
            return _refused(403, "AuthenticationFailed")
        assert "x-functions-key" not in request.headers
        assert request.headers["x-ms-version"]
        if request.query["comp"] == "block":
            return self._take(request, name, content)
        if name in self.blobs and request.headers.get("If-None-Match") == "*":
            return _refused(409, "BlobAlreadyExists")
        return self._make(request, name, re.findall(r"<Latest>(.*?)</Latest>", content.decode()))

    def _take(self, request: web.Request, name: str, content: bytes) -> web.Response:
        digest = base64.b64encode(hashlib.md5(content).digest()).decode()
        if request.headers["Content-MD5"] != digest:
            return _refused(400, "Md5Mismatch")
        self.blocks.setdefault(name, {})[request.query["blockid"]] = content
        return web.Response(status=201)

    def _make(self, request: web.Request, name: str, ids: list[str]) -> web.Response:
        blocks = self.blocks.pop(name, {})
        if not set(ids) <= set(blocks):
            return _refused(400, "InvalidBlockList")
        self.blobs[name] = b"".join(blocks[one] for one in ids)
        self.metadata[name] = {
            key[len("x-ms-meta-") :]: value
            for key, value in request.headers.items()
            if key.lower().startswith("x-ms-meta-")
        }
        return web.Response(status=201)


def _refused(status: int, code: str) -> web.Response:
    return web.Response(status=status, headers={"x-ms-error-code": code})
