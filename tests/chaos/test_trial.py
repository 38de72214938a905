"""Is the promise kept under faults? One short trial; `make chaos` runs more and longer ones."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.chaos import plan, trial

# Seconds: the faults, and the time that a farm has to come to rest.
pytestmark = pytest.mark.timeout(240)


async def test_nothing_is_lost_twice_wrong_or_stuck(tmp_path: Path) -> None:
    """Every kind of fault comes at least once."""
    found = await trial.run(1, tmp_path, seconds=12, job_count=5)

    assert found.problems == []
    assert found.frames > 40
    assert set(found.injected) >= set(plan.KINDS)


async def test_nothing_is_lost_with_real_blender(
    tmp_path: Path, installed_blenders: Mapping[str, str], scene: Callable[[str], Path]
) -> None:
    """Its frames are, pixel for pixel, those that it renders in peace."""
    content = scene("tiny").read_bytes()
    found = await trial.run_real(1, tmp_path, installed_blenders, content, seconds=10)

    assert found.problems == []
    assert found.frames == 36
