"""Which passes will a multilayer file hold?

Blender is asked rather than told: a Render Layers node has an output for each pass that the engine
will give a view layer, and the engine names them by the very same code as it renders by. So AOVs,
light groups, Cryptomatte levels and denoising data are what they will be, in every engine.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import bpy  # noqa: TID251 this package runs inside Blender

# Channels, at least; the node does not tell a color with alpha from one without.
_CHANNELS = {"VALUE": 1, "VECTOR": 3, "RGBA": 3}
# Blender leaves it out of the file where no Grease Pencil object was drawn.
_NOT_ALWAYS = frozenset({"Grease Pencil", "GreasePencil"})
_SINCE_5 = bpy.app.version >= (5, 0, 0)  # the compositor's nodes are a node group of their own


def expected(scene: Any) -> dict[str, int]:
    """Return how many channels there are at least of each pass, by `Layer.Pass`."""
    passes = {"Composite.Combined": 4} if _composites(scene) else {}
    with _render_layers_node() as node:
        node.scene = scene
        for layer in scene.view_layers:
            if layer.use:
                node.layer = layer.name
                passes |= {f"{layer.name}.{name}": least for name, least in _outputs(node)}
    return passes


def _outputs(node: Any) -> Iterator[tuple[str, int]]:
    """Yield the passes of the node's layer; its first two outputs are Combined's."""
    yield "Combined", 4
    for output in list(node.outputs)[2:]:
        if output.enabled and output.name not in _NOT_ALWAYS:
            yield output.name, _CHANNELS[output.type]


def _composites(scene: Any) -> bool:
    """Tell whether the compositor has a result, which stands in the file as a layer of its own."""
    if not scene.render.use_compositing:
        return False
    if not _SINCE_5:
        nodes = scene.node_tree.nodes if scene.use_nodes and scene.node_tree else ()
        return any(node.bl_idname == "CompositorNodeComposite" and not node.mute for node in nodes)
    tree = scene.compositing_node_group
    if tree is None or not any(node.bl_idname == "NodeGroupOutput" for node in tree.nodes):
        return False
    outputs = [
        socket
        for socket in tree.interface.items_tree
        if socket.item_type == "SOCKET" and socket.in_out == "OUTPUT"
    ]
    return bool(outputs) and outputs[0].socket_type == "NodeSocketColor"


@contextlib.contextmanager
def _render_layers_node() -> Iterator[Any]:
    """Give a node that is in no tree of the .blend, and take it away again."""
    if _SINCE_5:
        tree = bpy.data.node_groups.new("passes probe", "CompositorNodeTree")
        try:
            yield tree.nodes.new("CompositorNodeRLayers")
        finally:
            bpy.data.node_groups.remove(tree)
        return
    probe = bpy.data.scenes.new("passes probe")
    try:
        probe.use_nodes = True
        yield probe.node_tree.nodes.new("CompositorNodeRLayers")
    finally:
        bpy.data.scenes.remove(probe)
