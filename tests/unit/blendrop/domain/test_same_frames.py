"""Which jobs have the same frames?"""

import pytest

from blendrop.domain import job_settings, same_frames


def key(digest: str = "d", version: str = "5.0.1", **asked: object) -> str:
    """Return the key of a job's frames."""
    settings = job_settings.JobSettings.model_validate(asked)
    return same_frames.key(scene_digest=digest, settings=settings, blender_version=version)


@pytest.mark.parametrize(
    "asked",
    [
        {"frames": "1-9"},
        {"batch_size": 3},
        {"priority": "high"},
        {"webhook": "https://a.example"},
        {"force": True},
    ],
)
def test_which_frames_and_how_they_come_makes_no_difference(asked: dict[str, object]) -> None:
    """A frame looks the same in every such job."""
    assert key(**asked) == key()  # type: ignore[arg-type]


def test_whatever_changes_pixels_makes_a_difference() -> None:
    """Bytes, Blender, and every setting that it is given."""
    keys = [
        key(),
        key("e"),
        key(version="5.0.2"),
        key(scene="Scene"),
        key(camera="Camera"),
        key(engine="CYCLES"),
        key(samples=3),
        key(resolution_percent=50),
        key(format="PNG"),
        key(allow_missing_files=True),
        key(allow_skipped_python=True),
    ]
    assert len(set(keys)) == len(keys)


def test_no_setting_is_forgotten() -> None:
    """A new one changes pixels unless it is known not to."""
    others = {"frames", "batch_size", "priority", "webhook", "force", "max_cost"}
    assert set(job_settings.JobSettings.model_fields) == job_settings.PIXELS | others
