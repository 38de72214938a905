"""Is an image that is not whole found out by its own bytes?"""

import subprocess
from pathlib import Path

import pytest

from blendrop.cli import image_file
from tests.doubles import png_image

PNG = png_image.made(1)
JPEG = b"\xff\xd8\xff\xe0" + b"j" * 50 + b"\xff\xd9"
EXR = b"\x76\x2f\x31\x01" + b"e" * 50


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        pytest.param("a.png", PNG, "", id="png"),
        pytest.param("a.jpg", JPEG, "", id="jpeg"),
        pytest.param("a.exr", EXR, "", id="exr"),
        pytest.param("a.tif", b"II*\0", "", id="another format"),
        pytest.param("a.png", PNG[:-1], "its end is missing", id="png without its last byte"),
        pytest.param("a.png", PNG[:-12], "its end is missing", id="png without its end"),
        pytest.param("a.png", PNG[:90] + b"?" + PNG[91:], "a checksum in it is wrong", id="flip"),
        pytest.param("a.png", JPEG, "it does not begin as a PNG file", id="another format's"),
        pytest.param("a.png", b"", "it does not begin as a PNG file", id="empty"),
        pytest.param("a.jpg", JPEG[:-3], "its end is missing", id="jpeg without its end"),
        pytest.param("a.exr", EXR[1:], "it does not begin as a EXR file", id="exr without head"),
    ],
)
def test_damage_is_told(tmp_path: Path, name: str, content: bytes, expected: str) -> None:
    """Whole images have none."""
    path = tmp_path / "part"
    path.write_bytes(content)

    assert image_file.damage(path, name=name) == expected


def test_what_blender_writes_is_whole(blender_python: Path, tmp_path: Path) -> None:
    """Of every format and depth that a job may ask for."""
    program = Path(__file__).parents[3] / "doubles" / "image_files.py"
    subprocess.run([blender_python, program, tmp_path], check=True, capture_output=True)
    images = sorted(tmp_path.iterdir())

    assert {path.suffix for path in images} == {".png", ".jpg", ".exr", ".tif"}
    assert [image_file.damage(path, name=path.name) for path in images] == [""] * len(images)
