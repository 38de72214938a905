"""Does the doctor see what is well, and what is not, on a real farm?"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from blendrop import settings
from blendrop.adapters.azure_clients import Clients
from local import doctor, looks
from tests.doubles import watched_farm
from tests.doubles.blend_file import head
from tests.doubles.watched_farm import WatchedFarm

pytestmark = pytest.mark.asyncio(loop_scope="module")

ALL = (*looks.LOOKS, ("event path", looks.event_path))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def farm(
    tmp_path_factory: pytest.TempPathFactory, installed_blenders: Mapping[str, str]
) -> AsyncIterator[WatchedFarm]:
    """Return a farm without workers."""
    folder = tmp_path_factory.mktemp("farm")
    async with watched_farm.running(folder, installed_blenders, workers=0) as started:
        yield started


@pytest_asyncio.fixture(loop_scope="module")
async def patient(farm: WatchedFarm) -> AsyncIterator[looks.Patient]:
    """Return where that farm is."""
    clients = Clients(connection_string=farm.connection_string)
    yield looks.Patient(clients, farm.running.client.http, farm.share)
    await clients.close()


async def bad(patient: looks.Patient) -> dict[str, str]:
    """Return what is not well, with what is said of it."""
    found = await doctor.examine(patient, ALL)
    assert len(found) == len(ALL)
    assert all(finding.remedy for finding in found if not finding.well)
    return {finding.part: finding.said for finding in found if not finding.well}


async def test_a_farm_that_is_well(patient: looks.Patient) -> None:
    """The whole path of an upload included."""
    assert await bad(patient) == {}


async def test_a_poison_message_is_seen(farm: WatchedFarm, patient: looks.Patient) -> None:
    """And nothing else is blamed."""
    queue = patient.clients.queues.get_queue_client(settings.POISON_QUEUE)
    await queue.send_message("bad")
    found = await bad(patient)
    await queue.clear_messages()
    assert list(found) == ["queues"]
    assert "1 messages lie on" in found["queues"]


async def test_an_announcement_that_no_function_could_read_is_seen(
    farm: WatchedFarm, patient: looks.Patient
) -> None:
    """The host parks it on a queue of its own, which it makes when it needs it."""
    queue = patient.clients.queues.get_queue_client(settings.UPLOADS_POISON_QUEUE)
    await queue.create_queue()
    await queue.send_message("bad")
    found = await bad(patient)
    await queue.delete_queue()
    assert found == {"queues": f"1 messages lie on {settings.UPLOADS_POISON_QUEUE}"}


async def test_an_announcement_that_was_never_delivered_is_seen(
    farm: WatchedFarm, patient: looks.Patient
) -> None:
    """Event Grid leaves it in a container, with the reason."""
    container = patient.clients.blobs.get_container_client(settings.DEAD_LETTERS_CONTAINER)
    await container.create_container()
    await container.upload_blob("topic/2026/1.json", b"[]")
    found = await bad(patient)
    await container.delete_container()
    assert list(found) == ["uploads"]
    assert "1 announcements lie in" in found["uploads"]


async def test_an_announcement_that_nobody_takes_is_seen(
    farm: WatchedFarm, patient: looks.Patient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This farm polls: nothing reads the queue that Event Grid would write to."""
    monkeypatch.setattr(looks, "_LONG", 0.0)
    queue = patient.clients.queues.get_queue_client(settings.UPLOADS_QUEUE)
    await queue.send_message("waits")
    found = await bad(patient)
    await queue.clear_messages()
    assert list(found) == ["uploads"]
    assert "waits for" in found["uploads"]


async def test_work_that_nobody_does_is_seen(
    farm: WatchedFarm, patient: looks.Patient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When it has waited for too long."""
    monkeypatch.setattr(looks, "_LONG", 0.0)
    job_id = await farm.upload("waits.blend", head(("S", 1, 9)))
    await farm.until(job_id, lambda view: view.job.state == "queued")
    found = await bad(patient)
    assert list(found) == ["workers"]
    assert "no worker is at work" in found["workers"]


async def test_each_part_that_is_missing_is_named(
    patient: looks.Patient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One look that fails does not hide the others."""
    monkeypatch.setattr(looks, "__version__", "9.9.9")
    gone = replace(patient, share=tmp_path / "nowhere")
    assert set(await bad(gone)) == {"frame share", "functions"}
    monkeypatch.undo()
    assert set(await bad(replace(patient, url="http://127.0.0.1:1"))) == {"functions"}
    table = patient.clients.tables.get_table_client(settings.WORKERS_TABLE)
    await table.delete_table()
    assert set(await bad(patient)) == {"tables", "versions of workers"}
