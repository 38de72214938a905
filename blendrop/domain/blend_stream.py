"""How are the first bytes of a .blend unpacked, within bounds, whatever the file claims to be?

Blender has written plain files always, gzip ones up to 2.93, and zstd ones since 3.0: many zstd
frames one after the other, so that a reader can seek (Blender's `BLI_filereader`, "zstd seekable
format").
"""

import zlib
from typing import Literal, Protocol

from backports import zstd

from blendrop import errors

Compression = Literal["none", "gzip", "zstd"]

READ_AT_ONCE = 64 * 1024  # bytes asked for in one range read
MOST_READ = 1024 * 1024  # bytes of the file that are looked at, at the most
MOST_UNPACKED = 2 * 1024 * 1024  # bytes that they may unpack to

_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
_ZSTD_SKIPPABLE = range(0x184D2A50, 0x184D2A60)
# A zstd frame may ask for a window of gigabytes; Blender's ask for a few megabytes at most.
_LARGEST_WINDOW_LOG = 27  # 128 MiB, only reserved as far as the bounds above fill it


class ReadRange(Protocol):
    """Reads part of a file."""

    async def __call__(self, offset: int, length: int) -> bytes:
        """Return up to `length` bytes from `offset`, fewer only where the file ends."""
        ...


def refused(value: str, reason: str, remedy: str) -> errors.InvalidRequestError:
    """Return the error for a file that is not the scene it should be."""
    return errors.InvalidRequestError(
        errors.Problem(pointer="scene_file", value=value, reason=reason, remedy=remedy)
    )


UPLOAD_AGAIN = "Upload it again, and check that the upload runs to its end"


class _Plain:
    """Hands bytes on as they are."""

    def unpack(self, data: bytes) -> bytes:
        return data


class _Gzip:
    """Unpacks one gzip stream."""

    def __init__(self) -> None:
        self._stream = zlib.decompressobj(wbits=31)

    def unpack(self, data: bytes) -> bytes:
        try:
            return self._stream.decompress(data, MOST_UNPACKED)
        except zlib.error as damaged:
            raise refused("gzip", f"its compression is damaged ({damaged})", UPLOAD_AGAIN) from None


class _Zstd:
    """Unpacks zstd frames one after the other."""

    def __init__(self) -> None:
        self._frame = self._new_frame()

    def unpack(self, data: bytes) -> bytes:
        unpacked = bytearray()
        try:
            while data and len(unpacked) < MOST_UNPACKED:
                unpacked += self._frame.decompress(data, MOST_UNPACKED - len(unpacked))
                if not self._frame.eof:
                    break
                data = self._frame.unused_data
                self._frame = self._new_frame()
        except zstd.ZstdError as damaged:
            raise refused("zstd", f"its compression is damaged ({damaged})", UPLOAD_AGAIN) from None
        return bytes(unpacked)

    def _new_frame(self) -> zstd.ZstdDecompressor:
        window = {int(zstd.DecompressionParameter.window_log_max): _LARGEST_WINDOW_LOG}
        return zstd.ZstdDecompressor(options=window)


class BlendStream:
    """The unpacked bytes of a .blend, read on as far as they are needed and the bounds allow."""

    def __init__(self, read_range: ReadRange, *, size: int) -> None:
        self.compression: Compression = "none"
        self._read_range = read_range
        self._size = size
        self._read = 0  # bytes of the file
        self._unpacked = bytearray()
        self._at = 0
        self._unpacker: _Plain | _Gzip | _Zstd | None = None

    async def take(self, length: int, *, what: str) -> bytes:
        """Return the next `length` bytes.

        Raises:
            InvalidRequestError: the file ends before them, or the bounds are reached.
        """
        await self._have(self._at + length, what)
        taken = bytes(self._unpacked[self._at : self._at + length])
        self._at += length
        return taken

    async def _have(self, length: int, what: str) -> None:
        if length > MOST_UNPACKED:
            raise refused(
                what,
                f"the scenes do not stand in the first {MOST_UNPACKED} bytes, where Blender "
                "writes them",
                "Open it in Blender and save it again",
            )
        while len(self._unpacked) < length:
            if self._read >= min(self._size, MOST_READ):
                raise refused(
                    what, f"it ends inside its {what}, so that it was cut off", UPLOAD_AGAIN
                )
            await self._read_on(what)

    async def _read_on(self, what: str) -> None:
        data = await self._read_range(self._read, min(READ_AT_ONCE, self._size - self._read))
        if not data:
            raise refused(what, f"it ends inside its {what}, so that it was cut off", UPLOAD_AGAIN)
        self._read += len(data)
        if self._unpacker is None:
            self._unpacker = self._unpacker_for(data)
        self._unpacked += self._unpacker.unpack(data)

    def _unpacker_for(self, start: bytes) -> "_Plain | _Gzip | _Zstd":
        if start.startswith(_GZIP):
            self.compression = "gzip"
            return _Gzip()
        if start.startswith(_ZSTD) or int.from_bytes(start[:4], "little") in _ZSTD_SKIPPABLE:
            self.compression = "zstd"
            return _Zstd()
        return _Plain()
