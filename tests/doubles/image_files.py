"""Images of every kind, made by a real Blender: `python image_files.py FOLDER` where bpy is."""

import sys

import bpy

KINDS = {
    "png8": ("PNG", "RGB", "8"),
    "png16": ("PNG", "RGBA", "16"),
    "png_bw": ("PNG", "BW", "8"),
    "jpeg": ("JPEG", "RGB", "8"),
    "exr16": ("OPEN_EXR", "RGB", "16"),
    "exr32": ("OPEN_EXR", "RGBA", "32"),
    "multilayer": ("OPEN_EXR_MULTILAYER", "RGBA", "16"),
    "tiff": ("TIFF", "RGB", "16"),
}
ENDINGS = {"PNG": "png", "JPEG": "jpg", "TIFF": "tif"}


def main(folder: str) -> None:
    """Render one small frame in every format, then with a texture that is not there."""
    bpy.ops.wm.read_factory_settings(use_empty=False)
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.cycles.samples = 4
    scene.cycles.use_denoising = False
    scene.render.resolution_x, scene.render.resolution_y = 64, 36
    scene.render.resolution_percentage = 100
    scene.camera.location = (4.5, -4.2, 3.2)
    scene.view_layers.new("Second")
    for kind, (file_format, color_mode, depth) in KINDS.items():
        image = scene.render.image_settings
        if hasattr(image, "media_type"):
            layers = file_format == "OPEN_EXR_MULTILAYER"
            image.media_type = "MULTI_LAYER_IMAGE" if layers else "IMAGE"
        image.file_format = file_format
        image.color_mode, image.color_depth = color_mode, depth
        render(f"{folder}/{kind}.{ENDINGS.get(file_format, 'exr')}")
    if hasattr(image, "media_type"):
        image.media_type = "IMAGE"
    image.file_format, image.color_mode, image.color_depth = "PNG", "RGB", "8"
    lose_texture()
    for transform in ("Standard", "Filmic", "AgX"):
        scene.view_settings.view_transform = transform
        render(f"{folder}/pink_{transform}.png")
    scene.render.film_transparent = True
    scene.objects["Cube"].hide_render = True
    image.color_mode = "RGBA"
    render(f"{folder}/transparent.png")


def render(path: str) -> None:
    """Render to exactly this file."""
    bpy.context.scene.render.filepath = path
    bpy.ops.render.render(write_still=True)


def lose_texture() -> None:
    """Give the cube an image that is on no disk."""
    image = bpy.data.images.new("gone", 8, 8)
    image.filepath = "//gone.png"
    image.source = "FILE"
    image.reload()
    material = bpy.data.objects["Cube"].data.materials[0]
    nodes, links = material.node_tree.nodes, material.node_tree.links
    texture = nodes.new("ShaderNodeTexImage")
    texture.image = image
    surface = next(node for node in nodes if node.type == "BSDF_PRINCIPLED")
    links.new(texture.outputs["Color"], surface.inputs["Base Color"])


if __name__ == "__main__":
    main(sys.argv[-1])
