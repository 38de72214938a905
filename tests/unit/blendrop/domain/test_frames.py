"""Frame ranges: what a person writes, the one canonical string, and the split into batches."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blendrop import errors
from blendrop.domain import frames

sets_of_frames = st.sets(st.integers(-2_000, 2_000), max_size=300)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("7", (7,), id="one frame"),
        pytest.param("1-5", (1, 2, 3, 4, 5), id="range"),
        pytest.param("1-9x4", (1, 5, 9), id="step that hits the end"),
        pytest.param("1-8x4", (1, 5), id="step that misses the end"),
        pytest.param("3,7,12-14", (3, 7, 12, 13, 14), id="list"),
        pytest.param("-5--3", (-5, -4, -3), id="negative range"),
        pytest.param("-1-1", (-1, 0, 1), id="across zero"),
        pytest.param("4-1", (1, 2, 3, 4), id="backwards"),
        pytest.param("10-1x3", (1, 4, 7, 10), id="backwards with a step"),
        pytest.param("5,1-6,5-7", (1, 2, 3, 4, 5, 6, 7), id="overlapping"),
        pytest.param(" 1 , 3-4 ", (1, 3, 4), id="spaces around parts"),
    ],
)
def test_parse_returns_the_frames_ascending_and_once(text: str, expected: tuple[int, ...]) -> None:
    """What a person may write gives the set of frames they mean."""
    assert frames.parse(text, at_most=100) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param("", "names no frame", id="empty"),
        pytest.param(" , ", "names no frame", id="only commas"),
        pytest.param("1,,2", "'' is not a frame", id="empty part"),
        pytest.param("all", "'all' is not a frame", id="word"),
        pytest.param("1-", "'1-' is not a frame", id="open end"),
        pytest.param("1..5", "'1..5' is not a frame", id="other syntax"),
        pytest.param("1-10x0", "step of 0", id="step of zero"),
        pytest.param("1-10x-2", "is not a frame", id="negative step"),
        pytest.param("1.5", "is not a frame", id="fraction"),
        pytest.param("٣", "is not a frame", id="digits of another script"),
        pytest.param("2000000", "no frame 2000000", id="beyond Blender's last frame"),
        pytest.param("1-101", "more than 100 frames", id="too many in one part"),
        pytest.param("1-60,61-120", "more than 100 frames", id="too many together"),
        pytest.param("-1000000-1000000", "more than 100 frames", id="absurdly many"),
    ],
)
def test_parse_refuses_with_a_reason_and_a_remedy(text: str, reason: str) -> None:
    """What is not a frame range is refused in words that name it."""
    with pytest.raises(errors.InvalidRequestError) as refused:
        frames.parse(text, at_most=100)

    (problem,) = refused.value.problems
    assert problem.pointer == "frames"
    assert reason in problem.reason
    assert problem.remedy


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        pytest.param([], "", id="none"),
        pytest.param([5], "5", id="one"),
        pytest.param([1, 2], "1-2", id="two neighbours"),
        pytest.param([1, 3], "1,3", id="two apart"),
        pytest.param(range(1, 20, 2), "1-19x2", id="every second"),
        pytest.param([3, 7, 12, 13, 14, 15], "3,7,12-15", id="singles, then a range"),
        pytest.param([-5, -4, -3], "-5--3", id="negative"),
        pytest.param([10, 9, 1, 8, 9], "1,8-10", id="unordered, repeated"),
    ],
)
def test_canonical_writes_a_set_in_one_way(chosen: list[int], expected: str) -> None:
    """The canonical string is short and as a person would write it."""
    assert frames.canonical(chosen) == expected


@given(sets_of_frames)
def test_parsing_the_canonical_string_gives_the_same_frames(chosen: set[int]) -> None:
    """Canonical strings lose nothing and are stable."""
    text = frames.canonical(chosen)
    if chosen:
        parsed = frames.parse(text, at_most=len(chosen))

        assert parsed == tuple(sorted(chosen))
        assert frames.canonical(parsed) == text


@given(st.text(alphabet="0123456789-x, ", max_size=30))
def test_parse_knows_only_one_kind_of_failure(text: str) -> None:
    """Anything but a frame range ends in the one error that says why."""
    try:
        parsed = frames.parse(text, at_most=50)
    except errors.InvalidRequestError:
        return

    assert 0 < len(parsed) <= 50


@given(sets_of_frames, st.integers(1, 40))
def test_split_covers_every_frame_once(chosen: set[int], size: int) -> None:
    """Batches hold every frame once, in order, none above its size and none empty."""
    ascending = sorted(chosen)
    batches = frames.split(ascending, size)

    assert [frame for batch in batches for frame in batch] == ascending
    assert all(1 <= len(batch) <= size for batch in batches)


@pytest.mark.parametrize(
    ("pattern", "frame", "expected"),
    [
        pytest.param("frame_####.png", 7, "frame_0007.png", id="padded"),
        pytest.param("frame_####.png", 12345, "frame_12345.png", id="longer than the padding"),
        pytest.param("####.exr", -7, "-0007.exr", id="negative"),
        pytest.param("a#b.png", 3, "a3b.png", id="one digit"),
    ],
)
def test_file_name_puts_the_frame_where_the_pattern_says(
    pattern: str, frame: int, expected: str
) -> None:
    """A frame's file name follows Blender's rule for #."""
    assert frames.file_name(pattern, frame) == expected
