"""Which Blender wrote a file, and which scenes with which frame ranges does it hold?

Read without Blender, from the first blocks of the file. After the header come `REND` blocks, one
for the scene that was active when the file was saved and for each that is marked for background
rendering; other scenes of the file do not stand there. (Blender's `writefile.cc`,
`write_renderinfo`.) The header has 12 bytes up to Blender 4.x and 17 from 5.0 on, whose block heads
are larger, too (`BLO_core_bhead.hh`, `BLO_core_blend_header.hh`).
"""

import re
import struct
from dataclasses import dataclass
from functools import total_ordering

from blendrop.domain.blend_stream import (
    UPLOAD_AGAIN,
    BlendStream,
    Compression,
    ReadRange,
    refused,
)

_OLD_HEADER = re.compile(rb"BLENDER([_-])([vV])(\d)(\d\d)")
_NEW_HEADER = re.compile(rb"BLENDER(\d\d)-(\d\d)v(\d\d)(\d\d)")
_OLD_LENGTH, _NEW_LENGTH = 12, 17  # bytes
_NEWEST_FORMAT = 1  # of the 17-byte header; another would have other block heads

_MOST_SCENES = 1_000
_LARGEST_BLOCK = 1_024 * 1_024  # bytes of a REND or TEST block; Blender's have at most 263 kB
_FRAMES = struct.calcsize("ii")


@total_ordering
@dataclass(frozen=True)
class BlenderVersion:
    """A release series of Blender, like 4.2."""

    major: int
    minor: int

    @classmethod
    def parse(cls, text: str) -> "BlenderVersion":
        """Read `4.2` or `4.2.3`."""
        major, minor = text.split(".")[:2]
        return cls(int(major), int(minor))

    def __lt__(self, other: "BlenderVersion") -> bool:
        return (self.major, self.minor) < (other.major, other.minor)

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"


@dataclass(frozen=True)
class SceneRange:
    """A scene of the file and the frames that it is set to render."""

    name: str
    start: int
    end: int


@dataclass(frozen=True)
class BlendHead:
    """What the first blocks of a .blend say."""

    version: BlenderVersion
    scenes: tuple[SceneRange, ...]  # the active one first; at least one
    compression: Compression
    pointer_size: int  # bytes
    little_endian: bool


@dataclass(frozen=True)
class _Format:
    version: BlenderVersion
    pointer_size: int
    little_endian: bool
    block_head: struct.Struct
    length_at: int  # place of the length among the block head's fields


async def read(read_range: ReadRange, *, size: int) -> BlendHead:
    """Read the head of a .blend of `size` bytes; a few range reads, whatever its size.

    Raises:
        InvalidRequestError: it is no .blend that can be rendered; the reason says why.
    """
    if size == 0:
        raise refused("empty file", "the file is empty", UPLOAD_AGAIN)
    stream = BlendStream(read_range, size=size)
    form = await _format(stream, size)
    scenes = await _scenes(stream, form)
    if not scenes:
        raise refused(
            "scenes",
            "it holds no scene to render, as a library of assets does",
            "Save it from a Blender that has the scene open",
        )
    return BlendHead(
        version=form.version,
        scenes=tuple(scenes),
        compression=stream.compression,
        pointer_size=form.pointer_size,
        little_endian=form.little_endian,
    )


async def _format(stream: BlendStream, size: int) -> _Format:
    if size < _OLD_LENGTH:
        raise _foreign(await stream.take(size, what="header"))
    header = await stream.take(_OLD_LENGTH, what="header")
    if old := _OLD_HEADER.fullmatch(header):
        pointer, endian, major, minor = old.groups()
        order = "<" if endian == b"v" else ">"
        pointer_size = 4 if pointer == b"_" else 8
        return _Format(
            version=BlenderVersion(int(major), _minor(int(major), int(minor))),
            pointer_size=pointer_size,
            little_endian=endian == b"v",
            block_head=struct.Struct(f"{order}4si{pointer_size}sii"),
            length_at=1,
        )
    if not re.match(rb"BLENDER\d\d-", header):
        raise _foreign(header)
    header += await stream.take(_NEW_LENGTH - _OLD_LENGTH, what="header")
    new = _NEW_HEADER.fullmatch(header)
    if new is None or int(new[1]) != _NEW_LENGTH or int(new[2]) != _NEWEST_FORMAT:
        raise refused(
            header.decode("latin-1"),
            "its header is of a later file format than this farm knows",
            "Save it with an older Blender, or ask the farm's engineer for an update",
        )
    return _Format(
        version=BlenderVersion(int(new[3]), int(new[4])),
        pointer_size=8,
        little_endian=True,
        block_head=struct.Struct("<4si8sqq"),
        length_at=3,
    )


def _minor(major: int, digits: int) -> int:
    """Blender 2.79 wrote 279, and from 3.0 on 4.2 writes 402."""
    return digits if major >= 2 else digits // 10


def _foreign(start: bytes) -> Exception:
    kinds = {
        b"\x89PNG": "a PNG image",
        b"\xff\xd8\xff": "a JPEG image",
        b"PK\x03\x04": "a zip archive",
        b"version http": "a Git LFS pointer, not the file that it points to",
        b"%PDF": "a PDF document",
    }
    kind = next((name for magic, name in kinds.items() if start.startswith(magic)), None)
    found = f"it is {kind}" if kind else "it does not begin as files that Blender saves do"
    return refused(repr(start), found, "Upload the .blend that Blender saved")


async def _scenes(stream: BlendStream, form: _Format) -> list[SceneRange]:
    scenes: list[SceneRange] = []
    while True:
        head = form.block_head.unpack(await stream.take(form.block_head.size, what="block heads"))
        code, length = head[0].rstrip(b"\0"), head[form.length_at]
        if code not in (b"REND", b"TEST"):
            return scenes
        if not 0 <= length <= _LARGEST_BLOCK:
            raise refused(
                code.decode(),
                f"its {code.decode()} block claims to have {length} bytes, so that it is damaged",
                UPLOAD_AGAIN,
            )
        body = await stream.take(length, what=f"{code.decode()} block")
        if code == b"REND":
            scenes.append(_scene(body, little_endian=form.little_endian))
        if len(scenes) > _MOST_SCENES:
            raise refused(
                "REND",
                f"it names more than {_MOST_SCENES} scenes to render",
                "Save it with fewer scenes",
            )


def _scene(body: bytes, *, little_endian: bool) -> SceneRange:
    if len(body) <= _FRAMES:
        raise refused(
            "REND",
            f"its REND block has only {len(body)} bytes, so that it is damaged",
            UPLOAD_AGAIN,
        )
    start, end = struct.unpack_from("<ii" if little_endian else ">ii", body)
    # Names are UTF-8 since 2.5; one that is not can still be shown, and the scene be rendered.
    name = body[_FRAMES:].split(b"\0", 1)[0].decode("utf-8", "replace")
    if start > end:
        raise refused(
            name,
            f"the frame range of scene {name!r} runs from {start} to {end} and holds no frame",
            "Set its frame range in Blender, or give the frames with the upload",
        )
    return SceneRange(name, start, end)
