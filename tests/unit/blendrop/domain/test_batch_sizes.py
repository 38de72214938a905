"""How is a job cut into batches, and when is a tail cut off one?"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blendrop.domain import batch_sizes


@given(
    every=st.sets(st.integers(-1000, 1000), min_size=1, max_size=400).map(sorted),
    most=st.integers(1, 60),
    workers=st.integers(0, 50),
)
def test_every_frame_is_in_exactly_one_batch(every: list[int], most: int, workers: int) -> None:
    """None is empty or too large, and frames ascend, since they are rendered in that order."""
    cut = batch_sizes.planned(every, most=most, workers=workers)

    assert sorted(frame for batch in cut for frame in batch) == every
    assert all(0 < len(batch) <= most and list(batch) == sorted(batch) for batch in cut)


def test_the_first_middle_and_last_frame_go_first() -> None:
    """An artist sees the extremes within seconds; a small job is not cut up for that."""
    assert batch_sizes.planned(range(1, 25), most=25, workers=1) == [
        (1,),
        (13,),
        (24,),
        tuple(frame for frame in range(1, 25) if frame not in (1, 13, 24)),
    ]
    assert batch_sizes.planned(range(1, 10), most=25, workers=1) == [tuple(range(1, 10))]


def test_batches_shrink_towards_the_end() -> None:
    """From a share of what is left for each worker, but never more than the most, down to one."""
    cut = batch_sizes.planned(range(1, 1001), most=25, workers=10)

    sizes = [len(batch) for batch in cut[3:]]
    assert sizes == sorted(sizes, reverse=True)
    assert (sizes[0], sizes[-20:]) == (25, [1] * 20)
    assert len(sizes) < 110
    # A job with fewer frames than there are workers keeps as many busy as it can.
    assert len(batch_sizes.planned(range(8), most=25, workers=10)) == 8


def test_each_batch_has_frames_from_all_over_the_job() -> None:
    """One costly shot is spread over many batches, so that none takes much longer than others."""
    cut = batch_sizes.planned(range(1000), most=25, workers=10)

    shot = range(300, 400)
    assert max(sum(frame in shot for frame in batch) for batch in cut if len(batch) > 10) <= 4


def test_the_last_and_smallest_batches_are_of_neighbours() -> None:
    """From all over the job one of them would be of its costliest shot, and end long after."""
    cut = batch_sizes.planned(range(1000), most=25, workers=10)

    last = sorted(frame for batch in cut[-30:] for frame in batch)
    assert len(last) == 40
    assert last == [one for one in range(last[0], last[0] + 41) if one != 500]  # that went first
    assert 450 < last[0] < 500


def test_a_job_is_cut_by_a_later_release_as_it_was_by_an_earlier_one() -> None:
    """The rows that a cut-off submission did not add are made from the job's row again.

    Whoever changes how jobs are cut gives their rows a way to say by which rules they were.
    """
    assert batch_sizes.planned(range(1, 41), most=5, workers=2) == [
        (1,),
        (21,),
        (40,),
        *[(2, 6, 10, 27, 35), (4, 14, 29, 31, 39), (8, 12, 25, 33, 37), (3, 7, 11, 28, 36)],
        *[(5, 13, 15, 30, 32), (9, 34, 38), (16, 17, 26), (18, 19), (20,), (22,), (23,), (24,)],
    ]


@pytest.mark.parametrize("count", [1, 9, 10, 11, 100])
def test_a_size_that_is_given_is_kept_to(count: int) -> None:
    """Batches of it in the frames' order, and nothing goes first."""
    cut = batch_sizes.planned(range(count), most=4, workers=0)

    assert [frame for batch in cut for frame in batch] == list(range(count))
    assert {len(batch) for batch in cut[:-1]} <= {4}


@given(
    left=st.lists(st.integers(0, 10_000), unique=True, max_size=500).map(sorted),
    seconds=st.floats(0.001, 1e5),
    target=st.floats(0.1, 1000),
)
def test_a_tail_is_the_end_of_what_is_left(left: list[int], seconds: float, target: float) -> None:
    """The worker keeps at least its next frame, and a table writes the rest at once."""
    tails = batch_sizes.tail(left, frame_seconds=seconds, target=target)

    cut_off = [frame for tail in tails for frame in tail]
    assert left[len(left) - len(cut_off) :] == cut_off
    assert len(cut_off) < len(left) or not left
    assert len(tails) <= 99
    assert bool(cut_off) == (len(left) > 1 and len(left) * seconds > target)


def test_a_tail_is_cut_into_pieces_of_a_part_of_the_target() -> None:
    """So that all who idle get some of it, and few calls are made for quick frames."""
    assert batch_sizes.tail(range(4), frame_seconds=30, target=20) == [(1,), (2,), (3,)]
    assert batch_sizes.tail(range(30), frame_seconds=1, target=20)[0] == (5, 6, 7, 8, 9)
    assert batch_sizes.tail(range(19), frame_seconds=1, target=20) == []
