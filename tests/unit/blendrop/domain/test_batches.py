"""Batches: who may hold one, and what is counted about its frames."""

import datetime
import itertools

import pytest

from blendrop import errors
from blendrop.domain import batches, images

NOW = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)
MINUTE = datetime.timedelta(minutes=1)
BATCH = batches.Batch(job="shot-1", number=0, frames="1-3")


def failure(frame: int, attempts: int) -> batches.FrameFailure:
    """Return a failure like one that Blender's crash leaves."""
    return batches.FrameFailure(
        frame=frame,
        attempts=attempts,
        failure_class=errors.FailureClass.CRASH,
        reason="Blender crashed",
        remedy="Look at the log",
        worker="w1",
    )


def test_a_claim_counts_an_attempt_and_names_the_holder() -> None:
    """The row says who holds the batch, until when, and how often it was tried."""
    claimed = BATCH.claimed("w1", lease_until=NOW + MINUTE)

    assert (claimed.worker, claimed.attempt, claimed.lease_until) == ("w1", 1, NOW + MINUTE)


@pytest.mark.parametrize(
    ("asker", "now", "expected"),
    [
        pytest.param("w2", NOW, True, id="another worker, lease runs"),
        pytest.param("w2", NOW + MINUTE, False, id="another worker, lease over"),
        pytest.param("w1", NOW, False, id="the holder itself"),
    ],
)
def test_a_batch_is_held_while_its_lease_runs(
    asker: str, now: datetime.datetime, expected: bool
) -> None:
    """Only a lease that still runs keeps others away."""
    held = BATCH.claimed("w1", lease_until=NOW + MINUTE)

    assert held.held_by_another(asker, now) is expected


def test_only_the_transition_table_releases_a_batch() -> None:
    """Every pair of states is either in the table or refused as a conflict."""
    for before, after in itertools.product(batches.BatchState, repeat=2):
        batch = BATCH.model_copy(update={"state": before})
        if after in batches.TRANSITIONS[before]:
            assert batch.released(after).state is after
        else:
            with pytest.raises(errors.ConflictError, match=f"is {before}"):
                batch.released(after)


def test_the_newest_failure_of_a_frame_stands() -> None:
    """A frame has one failure, with all of its attempts counted."""
    batch = (
        BATCH.with_failure(failure(2, 1)).with_failure(failure(1, 1)).with_failure(failure(2, 2))
    )

    assert [(one.frame, one.attempts) for one in batch.failures] == [(1, 1), (2, 2)]
    assert (batch.attempts_of(2), batch.attempts_of(3)) == (2, 0)


def test_a_frame_done_forgets_its_failures_and_keeps_its_flags() -> None:
    """What succeeded in the end has not failed; what looks odd is kept for a person."""
    batch = BATCH.with_failure(failure(2, 1)).with_frame_done(
        2, seconds=1.5, flags=frozenset({images.FrameFlag.TRANSPARENT})
    )

    assert batch.failures == ()
    assert (batch.frames_done, batch.render_seconds) == (1, 1.5)
    assert batch.flagged == (batches.FlaggedFrame(frame=2, flags=(images.FrameFlag.TRANSPARENT,)),)
