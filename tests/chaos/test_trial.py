"""Is the promise kept under faults? One short trial; `make chaos` runs more and longer ones."""

from pathlib import Path

from tests.chaos import trial


async def test_nothing_is_lost_twice_wrong_or_stuck(tmp_path: Path) -> None:
    """Every kind of fault comes at least once."""
    found = await trial.run(1, tmp_path, seconds=12, job_count=5)

    assert found.problems == []
    assert found.frames > 40
    assert len(found.injected) >= 10
