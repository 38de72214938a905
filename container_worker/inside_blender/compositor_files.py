"""Where do the compositor's File Output nodes write?

Wherever the .blend sends them, they are sent to one folder that belongs to the frame: each node to
the subfolder that is named as the last folder of its own path, each image with the frame's number
in its name, as an animation render gives it.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bpy  # noqa: TID251 this package runs inside Blender

from container_worker.inside_blender import image_output

# Until Blender 5.0 a node has a `base_path` (for multilayer files: with the start of the file name)
# and `file_slots`; since then a `directory`, a `file_name` and `file_output_items`.
_SINCE_5 = bpy.app.version >= (5, 0, 0)


class FileOutputs:
    """All File Output nodes of the open file, in groups and in linked files too."""

    def __init__(self, scene: Any) -> None:
        self._scene = scene
        self._subfolders: dict[str, str] = {}  # by the path that the .blend gives
        self._names: dict[tuple[str, str], str] = {}  # in a subfolder, by the name in the .blend
        rename = self._rename_since_5 if _SINCE_5 else self._rename_before_5
        self._places = [(node, *rename(node)) for node in _nodes()]

    def send_to(self, folder: Path) -> None:
        """Let every node write below `folder`, which Blender makes when it writes."""
        for node, subfolder, name in self._places:
            path = image_output.literal_path(folder / subfolder)
            if _SINCE_5:
                node.directory = path
            else:
                node.base_path = f"{path}/{name}"

    def _rename_since_5(self, node: Any) -> tuple[str, str]:
        subfolder = self._subfolder(node.directory)
        start = image_output.expand_template(self._scene, node.file_name)
        if node.format.file_format == "OPEN_EXR_MULTILAYER":
            node.file_name = self._file_name(subfolder, start)
            return subfolder, ""
        # The name of a file is the node's and the item's together; the last # of both counts.
        node.file_name = ""
        for item in node.file_output_items:
            item.name = self._file_name(subfolder, f"{start}{item.name}")
        return subfolder, ""

    def _rename_before_5(self, node: Any) -> tuple[str, str]:
        if node.format.file_format == "OPEN_EXR_MULTILAYER":
            *folders, start = re.split(r"[/\\]", node.base_path)
            subfolder = self._subfolder("/".join(folders))
            return subfolder, self._file_name(subfolder, start)
        subfolder = self._subfolder(node.base_path)
        for slot in node.file_slots:
            slot.path = self._file_name(subfolder, slot.path)
        return subfolder, ""

    def _subfolder(self, path: str) -> str:
        if path not in self._subfolders:
            parts = [part for part in re.split(r"[/\\]", path) if part.strip(". ")]
            last = image_output.expand_template(self._scene, parts[-1]) if parts else ""
            plain = image_output.plain_name(last) or "output"
            self._subfolders[path] = _free(plain, set(self._subfolders.values()))
        return self._subfolders[path]

    def _file_name(self, subfolder: str, name: str) -> str:
        if (subfolder, name) not in self._names:
            before, number, after = image_output.split_number(name)
            taken = {known for (other, _), known in self._names.items() if other == subfolder}
            start = image_output.plain_name(before)
            plain = f"{start}{number}{image_output.plain_name(after)}"
            self._names[subfolder, name] = _free(plain, taken)
        return self._names[subfolder, name]


def _free(name: str, taken: set[str]) -> str:
    number = 1
    while (free := name if number == 1 else f"{number}_{name}") in taken:
        number += 1
    return free


def _nodes() -> Iterator[Any]:
    trees = [tree for tree in bpy.data.node_groups if tree.bl_idname == "CompositorNodeTree"]
    if not _SINCE_5:
        trees += [scene.node_tree for scene in bpy.data.scenes if scene.node_tree]
    for tree in trees:
        yield from (node for node in tree.nodes if node.bl_idname == "CompositorNodeOutputFile")
