"""The first bytes of a .blend, as Blender's own writer lays them out."""

import struct


def head(
    *ranges: tuple[str, int, int],
    version: str = "4.2",
    pointer_size: int = 8,
    little_endian: bool = True,
    large: bool = False,
) -> bytes:
    """Return a header, a REND block for each scene (name, start, end), and what follows them.

    `large` is the 17-byte header of Blender 5 with its larger block heads.
    """
    order = "<" if little_endian else ">"
    major, minor = map(int, version.split("."))
    if large:
        start = f"BLENDER17-01v{major:02}{minor:02}".encode()
        form = struct.Struct("<4si8sqq")
    else:
        marks = ("-" if pointer_size == 8 else "_") + ("v" if little_endian else "V")
        digits = f"{major}{minor:02}" if major > 2 else f"{major}{minor}"
        start = f"BLENDER{marks}{digits}".encode()
        form = struct.Struct(f"{order}4si{pointer_size}sii")

    def block(code: bytes, body: bytes) -> bytes:
        pointer = bytes(8 if large else pointer_size)
        fields = (0, pointer, len(body), 1) if large else (len(body), pointer, 0, 1)
        return form.pack(code, *fields) + body

    scenes = b"".join(
        block(b"REND", struct.pack(f"{order}ii", first, last) + name.encode() + b"\0")
        for name, first, last in ranges
    )
    return start + scenes + block(b"GLOB", b"")
