"""Is an image that was fetched whole, as far as its own bytes can tell?

A PNG holds a checksum for each of its parts and an end (PNG specification, 5.3 and 11.2.5), a JPEG
has an end (ITU-T T.81, B.1.1.3), an OpenEXR file a beginning alone. Of any other format the length
must do, which the caller has compared.
"""

import struct
import zlib
from pathlib import Path
from typing import BinaryIO

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"
_EXR = b"\x76\x2f\x31\x01"
_BEGINNINGS = {".png": _PNG, ".jpg": _JPEG, ".jpeg": _JPEG, ".exr": _EXR}


def damage(path: Path, *, name: str) -> str:
    """Return what is wrong with an image, or nothing; `name` is what it will be called."""
    with path.open("rb") as file:
        expected = _BEGINNINGS.get(Path(name).suffix.lower(), b"")
        beginning = file.read(len(expected))
        if beginning != expected:
            return f"it does not begin as a {Path(name).suffix[1:].upper()} file"
        if expected == _PNG:
            return _png_damage(file)
        if expected == _JPEG:
            file.seek(-2, 2)
            return "" if file.read() == b"\xff\xd9" else "its end is missing"
    return ""


def _png_damage(file: BinaryIO) -> str:
    while True:
        head = file.read(8)
        if len(head) < 8:
            return "its end is missing"
        length, kind = struct.unpack(">I4s", head)
        content = file.read(length)
        checksum = file.read(4)
        if len(checksum) < 4:
            return "its end is missing"
        if zlib.crc32(kind + content) != int.from_bytes(checksum):
            return "a checksum in it is wrong"
        if kind == b"IEND":
            return ""
