"""What may be asked of a job, and how what is wrong is told."""

import pytest

from blendrop import errors
from blendrop.domain import job_settings

LIMITS = job_settings.Limits(newest_blender="5.0", frames_per_job=1000, frames_per_batch=100)


def test_metadata_gives_typed_settings() -> None:
    """Metadata is text in any case; settings are typed and canonical."""
    settings = job_settings.from_metadata(
        {
            "Frames": "5, 1-3",
            "engine": "cycles",
            "samples": " 64 ",
            "resolution-percent": "50",
            "format": "open_exr",
            "scene": "K%C3%BCche",
            "camera": "100% Camera",
            "batch_size": "4",
            "priority": "high",
            "allow_missing_files": "true",
            "max-cost": "12.50",
        },
        LIMITS,
    )

    assert settings == job_settings.JobSettings(
        frames="1-3,5",
        engine="CYCLES",
        samples=64,
        resolution_percent=50,
        format="OPEN_EXR",
        scene="Küche",
        camera="100% Camera",
        batch_size=4,
        priority="high",
        allow_missing_files=True,
        max_cost=12.5,
    )


def test_no_metadata_leaves_everything_to_the_scene() -> None:
    """Nothing is asked for unless a person asks for it."""
    assert job_settings.from_metadata({}, LIMITS) == job_settings.JobSettings()


def test_metadata_of_other_tools_is_left_alone() -> None:
    """Upload tools add metadata of their own."""
    settings = job_settings.from_metadata({"hdi_isfolder": "false", "author": "x"}, LIMITS)

    assert settings == job_settings.JobSettings()


@pytest.mark.parametrize(
    ("metadata", "pointer", "remedy"),
    [
        pytest.param({"frame": "1-3"}, "frame", "Did you mean frames?", id="slip of the pen"),
        pytest.param({"frames": "all"}, "frames", "Write frames like", id="no frames"),
        pytest.param({"engine": "LUXCORE"}, "engine", "CYCLES, EEVEE, WORKBENCH", id="engine"),
        pytest.param({"samples": "many"}, "samples", "whole number from 1", id="samples"),
        pytest.param({"max_cost": "much"}, "max_cost", "like 12.50", id="max_cost"),
        pytest.param({"max_cost": "0"}, "max_cost", "like 12.50", id="nothing"),
        pytest.param({"max_cost": "nan"}, "max_cost", "like 12.50", id="no amount"),
        pytest.param({"samples": "0"}, "samples", "whole number from 1", id="no samples"),
        pytest.param({"resolution_percent": "4000"}, "resolution_percent", "400", id="resolution"),
        pytest.param({"format": "GIF"}, "format", "PNG, JPEG", id="format"),
        pytest.param({"batch_size": "101"}, "batch_size", "smaller", id="batch above the limit"),
        pytest.param({"batch_size": "0"}, "batch_size", "1 or more", id="empty batch"),
        pytest.param({"priority": "urgent"}, "priority", "normal, high", id="priority"),
    ],
)
def test_a_bad_value_names_the_setting_and_the_remedy(
    metadata: dict[str, str], pointer: str, remedy: str
) -> None:
    """Each bad value is refused in words that say what to give instead."""
    with pytest.raises(errors.InvalidRequestError) as refused:
        job_settings.from_metadata(metadata, LIMITS)

    (problem,) = refused.value.problems
    assert problem.pointer == pointer
    assert remedy in problem.remedy


def test_every_problem_is_told_at_once() -> None:
    """Nobody has to upload three times to learn of three mistakes."""
    with pytest.raises(errors.InvalidRequestError) as refused:
        job_settings.from_metadata(
            {"frames": "x", "samples": "y", "format": "z", "enginee": "CYCLES"}, LIMITS
        )

    pointers = {problem.pointer for problem in refused.value.problems}
    assert pointers == {"frames", "samples", "format", "enginee"}
