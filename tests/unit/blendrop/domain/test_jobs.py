"""Jobs: their states, their batches, and the id that makes a repeated trigger harmless."""

import datetime
import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blendrop import errors
from blendrop.domain import job_settings, jobs

NOW = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)
JOB = jobs.Job(
    id="shot-1",
    state=jobs.JobState.SUBMITTED,
    reason="",
    scene=jobs.SceneRef(name="shot.blend", etag="0x1", size=1),
    settings=job_settings.JobSettings(),
    frames="1-10",
    frame_count=10,
    batch_size=4,
    batch_count=3,
    created=NOW,
    changed=NOW,
)


def test_a_job_moves_with_a_reason() -> None:
    """A move carries its reason and its time."""
    later = NOW + datetime.timedelta(seconds=1)
    moved = JOB.moved(jobs.JobState.QUEUED, reason="waits", now=later)

    assert (moved.state, moved.reason, moved.changed) == (jobs.JobState.QUEUED, "waits", later)


def test_only_the_transition_table_moves_a_job() -> None:
    """Every pair of states is either in the table or refused as a conflict."""
    for before, after in itertools.product(jobs.JobState, repeat=2):
        job = JOB.model_copy(update={"state": before})
        if after in jobs.TRANSITIONS[before]:
            assert job.moved(after, reason="", now=NOW).state is after
        else:
            with pytest.raises(errors.ConflictError, match=f"is {before}"):
                job.moved(after, reason="", now=NOW)


def test_a_completed_job_stays_completed() -> None:
    """Nothing takes back that every frame is there."""
    assert jobs.TRANSITIONS[jobs.JobState.COMPLETED] == frozenset()


def test_batches_cover_the_frames_in_order() -> None:
    """The frames of each batch follow from the job alone, so that a replay plans the same."""
    assert JOB.batches() == [(1, 2, 3, 4), (5, 6, 7, 8), (9, 10)]


def test_a_job_that_was_not_understood_has_no_batches() -> None:
    """A job born failed plans nothing."""
    assert JOB.model_copy(update={"frames": "", "frame_count": 0}).batches() == []


@pytest.mark.parametrize(
    ("name", "start"),
    [
        pytest.param("Shot 010.blend", "shot-010-", id="spaces"),
        pytest.param("film/act 1/Küche.BLEND", "kuche-", id="folders and accents"),
        pytest.param("../../etc/passwd.blend", "passwd-", id="dots"),
        pytest.param("日本.blend", "scene-", id="nothing that ASCII has"),
        pytest.param("100%25.blend", "100-25-", id="percent"),
        pytest.param("a" * 300 + ".blend", "a" * 40 + "-", id="long"),
    ],
)
def test_the_id_starts_with_the_name_of_the_file(name: str, start: str) -> None:
    """The artist finds the folder of the job by the name of the scene."""
    assert jobs.id_of_upload(name, "0x1").startswith(start)


@given(st.text(min_size=1, max_size=100), st.text(max_size=30))
def test_the_id_is_safe_as_folder_and_key(name: str, etag: str) -> None:
    """Whatever a blob is called, its job id is plain."""
    job_id = jobs.id_of_upload(name, etag)

    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*-[0-9a-f]{12}", job_id)
    assert job_id == jobs.id_of_upload(name, etag)


def test_another_version_of_the_blob_is_another_job() -> None:
    """A new upload under the same name is rendered anew."""
    assert jobs.id_of_upload("a.blend", "0x1") != jobs.id_of_upload("a.blend", "0x2")
