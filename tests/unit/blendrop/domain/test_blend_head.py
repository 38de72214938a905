"""Is the head of every .blend read, and every other file refused, within bounds?"""

import contextlib
import gzip
import io
import re
import struct
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from blendrop import errors
from blendrop.domain import blend_head, blend_stream
from blendrop.domain.blend_head import BlenderVersion, BlendHead, SceneRange
from tests.doubles.blend_file import head

_FIXTURES = sorted((Path(__file__).parents[3] / "fixtures" / "blends").iterdir())
SCENE = SceneRange("Scene", 1, 250)
RANGE = ("Scene", 1, 250)
NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=60)
FRAMES = st.integers(-1_048_574, 1_048_574)
FORMATS = st.one_of(
    st.fixed_dictionaries(
        {
            "version": st.sampled_from(["2.79", "3.6", "4.2", "4.5"]),
            "pointer_size": st.sampled_from([4, 8]),
            "little_endian": st.booleans(),
        }
    ),
    st.fixed_dictionaries(
        {"version": st.sampled_from(["5.0", "5.1"]), "large": st.just(value=True)}
    ),
)


class Ranges:
    """A file read by range, of any size: past its content there are zeros."""

    def __init__(self, content: bytes, size: int | None = None) -> None:
        self.content = content
        self.size = len(content) if size is None else size
        self.read_bytes = 0

    async def __call__(self, offset: int, length: int) -> bytes:
        """Return part of it."""
        assert 0 < length <= blend_stream.READ_AT_ONCE
        data = self.content[offset : offset + length]
        missing = min(length, self.size - offset) - len(data)
        self.read_bytes += length
        return data + bytes(max(missing, 0))


async def read(content: bytes, size: int | None = None) -> BlendHead:
    """Read a head, and see to the bounds."""
    ranges = Ranges(content, size)
    try:
        return await blend_head.read(ranges, size=ranges.size)
    finally:
        assert ranges.read_bytes <= blend_stream.MOST_READ


def test_there_are_files_of_several_blenders() -> None:
    """The fixtures are what makes the other tests more than a mirror of the code."""
    versions = {path.name.split("-")[0] for path in _FIXTURES}
    assert versions >= {"3.4", "4.2", "4.5", "5.0"}
    assert len(_FIXTURES) == 2 * len(versions)


@pytest.mark.parametrize("path", _FIXTURES, ids=lambda path: path.name)
async def test_what_real_blenders_wrote_is_read(path: Path) -> None:
    """The active scene alone stands in the head; names are Unicode."""
    version, kind, *size = path.stem.split("-")
    found = await read(path.read_bytes(), int(size[0]) if size else None)
    assert found == BlendHead(
        version=BlenderVersion.parse(version),
        scenes=(SceneRange("Küche", 7, 1234),),
        compression="zstd" if kind == "packed" else "none",
        pointer_size=8,
        little_endian=True,
    )


@pytest.mark.parametrize("path", [_FIXTURES[0], _FIXTURES[-2]], ids=lambda path: path.name)
async def test_every_truncation_is_read_or_refused(path: Path) -> None:
    """Nothing but the one error, wherever an upload was cut off."""
    whole = path.read_bytes()
    for length in [*range(300), *range(300, len(whole), 997)]:
        try:
            found = await read(whole[:length])
        except errors.InvalidRequestError:
            continue
        assert found.scenes == (SceneRange("Küche", 7, 1234),)


@given(form=FORMATS, name=NAMES, start=FRAMES, length=st.integers(0, 1000))
async def test_all_formats_are_read(
    form: dict[str, object], name: str, start: int, length: int
) -> None:
    """Pointer sizes, byte orders and both headers; any name and range."""
    content = head((name, start, start + length), **form)  # type: ignore[arg-type]
    found = await read(content)
    assert found.scenes == (SceneRange(name, start, start + length),)
    assert str(found.version) == form["version"]
    assert found.pointer_size == form.get("pointer_size", 8)


@given(
    st.binary(max_size=400),
    st.sampled_from(
        [b"", b"BLENDER-v402", b"BLENDER17-01v0500", b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd"]
    ),
)
async def test_any_bytes_are_read_or_refused(content: bytes, start: bytes) -> None:
    """A hostile file finds no other way out."""
    with contextlib.suppress(errors.InvalidRequestError):
        assert (await read(start + content)).scenes


async def test_several_scenes_and_gzip() -> None:
    """Scenes marked for background rendering stand there, too; 2.x files were gzipped."""
    content = gzip.compress(head(RANGE, ("Credits", 5, 6), version="2.79", pointer_size=4))
    found = await read(content)
    assert found.scenes == (SCENE, SceneRange("Credits", 5, 6))
    assert (found.compression, str(found.version)) == ("gzip", "2.79")


@pytest.mark.parametrize("size", [2**31, 10**11])
async def test_the_size_of_a_file_costs_nothing(size: int) -> None:
    """Two gigabytes or a hundred: one read."""
    ranges = Ranges(head(RANGE), size)
    assert (await blend_head.read(ranges, size=size)).scenes == (SCENE,)
    assert ranges.read_bytes == blend_stream.READ_AT_ONCE


def _zstd_bomb() -> bytes:
    bomb = io.BytesIO()
    with zstd.ZstdFile(bomb, "w") as file:
        file.write(head(RANGE)[:-24] + struct.pack("<4si8sii", b"TEST", 2**30, bytes(8), 0, 1))
        for _ in range(1024):
            file.write(bytes(2**20))
    return bomb.getvalue()


def _gzip_bomb() -> bytes:
    bomb = io.BytesIO()
    with gzip.open(bomb, "wb") as file:
        file.write(b"BLENDER-v279" + struct.pack("<4si8sii", b"TEST", 2**30, bytes(8), 0, 1))
        for _ in range(200):
            file.write(bytes(2**20))
    return bomb.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(_zstd_bomb, id="zstd"),
        pytest.param(_gzip_bomb, id="gzip"),
        pytest.param(lambda: b"\x28\xb5\x2f\xfd\x00\xf8" + bytes(100), id="a window of terabytes"),
    ],
)
async def test_a_decompression_bomb_is_bounded(content: Callable[[], bytes]) -> None:
    """In time and in memory."""
    bomb = content()
    tracemalloc.start()
    began = time.monotonic()
    try:
        with pytest.raises(errors.InvalidRequestError):
            await read(bomb)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert time.monotonic() - began < 2
    assert peak < 32 * 2**20


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(b"", "the file is empty", id="empty"),
        pytest.param(b"\x89PNG\r\n\x1a\n" + bytes(50), "a PNG image", id="PNG"),
        pytest.param(b"PK\x03\x04" + bytes(50), "a zip archive", id="zip"),
        pytest.param(b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer", id="LFS"),
        pytest.param(b"hello", "does not begin as files that Blender saves", id="text"),
        pytest.param(b"BLENDER17-02v0600" + bytes(99), "later file format", id="a later format"),
        pytest.param(b"BLENDER18-01v0600" + bytes(99), "later file format", id="a longer header"),
        pytest.param(head(), "holds no scene to render", id="a library of assets"),
        pytest.param(head(("S", 9, 3)), "runs from 9 to 3 and holds no frame", id="no frame"),
        pytest.param(
            head(RANGE).replace(struct.pack("<i", 14), struct.pack("<i", -1)),
            "claims to have -1 bytes",
            id="negative length",
        ),
        pytest.param(
            head(RANGE).replace(struct.pack("<i", 14), struct.pack("<i", 2**31 - 1)),
            "claims to have 2147483647 bytes",
            id="absurd length",
        ),
        pytest.param(head(RANGE)[:30], "cut off", id="cut off"),
    ],
)
async def test_what_cannot_be_rendered_is_refused_with_what_to_do(
    content: bytes, words: str
) -> None:
    """The reason names what it found, the remedy what to do."""
    with pytest.raises(errors.InvalidRequestError, match=re.escape(words)) as refused:
        await read(content)
    assert refused.value.problems[0].remedy
