"""Does the doctor see what is well, and what is not, on a real farm?"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from blendrop import settings
from blendrop.adapters.azure_clients import Clients
from local import doctor
from tests.doubles import watched_farm
from tests.doubles.blend_file import head
from tests.doubles.watched_farm import WatchedFarm

pytestmark = pytest.mark.asyncio(loop_scope="module")

ALL = (*doctor.LOOKS, ("event path", doctor.event_path))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def farm(
    tmp_path_factory: pytest.TempPathFactory, installed_blenders: Mapping[str, str]
) -> AsyncIterator[WatchedFarm]:
    """Return a farm without workers."""
    folder = tmp_path_factory.mktemp("farm")
    async with watched_farm.running(folder, installed_blenders, workers=0) as started:
        yield started


@pytest_asyncio.fixture(loop_scope="module")
async def patient(farm: WatchedFarm) -> AsyncIterator[doctor.Patient]:
    """Return where that farm is."""
    clients = Clients(connection_string=farm.connection_string)
    yield doctor.Patient(clients, farm.running.client.http, farm.share)
    await clients.close()


async def bad(patient: doctor.Patient) -> dict[str, str]:
    """Return what is not well, with what is said of it."""
    found = await doctor.examine(patient, ALL)
    assert len(found) == len(ALL)
    assert all(finding.remedy for finding in found if not finding.well)
    return {finding.part: finding.said for finding in found if not finding.well}


async def test_a_farm_that_is_well(patient: doctor.Patient) -> None:
    """The whole path of an upload included."""
    assert await bad(patient) == {}


async def test_a_poison_message_is_seen(farm: WatchedFarm, patient: doctor.Patient) -> None:
    """And nothing else is blamed."""
    queue = patient.clients.queues.get_queue_client(settings.POISON_QUEUE)
    await queue.send_message("bad")
    found = await bad(patient)
    await queue.clear_messages()
    assert list(found) == ["queues"]
    assert "1 messages lie on" in found["queues"]


async def test_work_that_nobody_does_is_seen(
    farm: WatchedFarm, patient: doctor.Patient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When it has waited for too long."""
    monkeypatch.setattr(doctor, "_LONG", -1.0)
    job_id = await farm.upload("waits.blend", head(("S", 1, 9)))
    await farm.until(job_id, lambda view: view.job.state == "queued")
    found = await bad(patient)
    assert list(found) == ["workers"]
    assert "no worker is at work" in found["workers"]


async def test_each_part_that_is_missing_is_named(
    patient: doctor.Patient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One look that fails does not hide the others."""
    monkeypatch.setattr(doctor, "__version__", "9.9.9")
    gone = replace(patient, share=tmp_path / "nowhere")
    assert set(await bad(gone)) == {"frame share", "functions"}
    monkeypatch.undo()
    assert set(await bad(replace(patient, url="http://127.0.0.1:1"))) == {"functions"}
    table = patient.clients.tables.get_table_client(settings.WORKERS_TABLE)
    await table.delete_table()
    assert set(await bad(patient)) == {"tables"}
