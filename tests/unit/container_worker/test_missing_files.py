"""Is every file that a scene needs and that is not here named before the first frame?"""

from collections.abc import Callable
from pathlib import Path

from blendrop.domain.job_settings import JobSettings
from container_worker.blender_renderer import BlenderRenderer

Scenes = Callable[[str], Path]


async def test_files_that_are_missing_are_named_before_the_first_frame(
    renderer: BlenderRenderer, scene: Scenes
) -> None:
    """Blender itself would render it in pink, and say nothing."""
    report = await renderer.open_scene(scene("missing_image"), JobSettings(), version="5.0")
    assert report.missing_files == ("image gone: //textures/gone.png",)
    assert report.image.textures_missing


async def test_each_kind_of_file_is_found(renderer: BlenderRenderer, scene: Scenes) -> None:
    """Each in its own words, so that the artist finds it."""
    report = await renderer.open_scene(scene("missing_everything"), JobSettings(), version="5.0")
    assert set(report.missing_files) == {
        "library library.blend: //library.blend",
        "linked data Linked: //library.blend",
        "image film: //gone/film.mp4",
        "image frames: //gone/frame_0001.png",
        "image gone: //textures/gone.png",
        "image tiles, tile 1001: //gone/tile.1001.png",
        "font Inter Variable Regular: //gone/type.ttf",
        "volume Cloud: //gone/cloud_0001.vdb",
        "mesh cache Mesh Cache of Cube: //gone/walk.pc2",
        "light profile IES Texture: //gone/lamp.ies",
        "image strip Strip: //gone/strip.png",
        "simulation, not baked, Cloth of Cube: ",
        "simulation, not baked, Particles of Cube: ",
        "add-on of node Their Node in Textured: ",
    }


async def test_a_bake_that_stayed_on_the_artists_disk_is_missing(
    renderer: BlenderRenderer, scene: Scenes
) -> None:
    """The .blend says that it was baked; the files of it were not uploaded."""
    report = await renderer.open_scene(scene("disk_baked"), JobSettings(), version="5.0")
    assert report.missing_files == ("simulation, not baked, Cloth of Cube: ",)
