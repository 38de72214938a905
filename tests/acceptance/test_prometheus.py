"""Does a real Prometheus, with the rules that are shipped, see a real farm and raise its alarms?"""

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
import yaml
from azure.storage.queue import aio as queues

from blendrop import settings
from tests.doubles import prometheus, watched_farm
from tests.doubles.prometheus import Prometheus
from tests.doubles.watched_farm import WatchedFarm

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]

SHIPPED = Path(__file__).parents[2] / "infra" / "prometheus"
RULES = SHIPPED / "rules.yaml"
SECONDS = "2s"  # between two looks, which are a minute apart in earnest


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def farm(
    tmp_path_factory: pytest.TempPathFactory, installed_blenders: Mapping[str, str]
) -> AsyncIterator[WatchedFarm]:
    """Return a farm of two workers, whose hearts beat every second."""
    folder = tmp_path_factory.mktemp("farm")
    async with watched_farm.running(
        folder, installed_blenders, workers=2, heartbeat_seconds="1"
    ) as started:
        yield started


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def watcher(
    farm: WatchedFarm, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Prometheus]:
    """Return a Prometheus that watches it, as it is shipped but for what is said here."""
    folder = tmp_path_factory.mktemp("prometheus")
    config = yaml.safe_load((SHIPPED / "prometheus.yaml").read_text())
    by_farm, by_workers = config["scrape_configs"]
    # Where this farm is, which asks for no token, and without the long waits.
    config["global"] = {"scrape_interval": SECONDS, "evaluation_interval": SECONDS}
    del by_farm["oauth2"], by_workers["dns_sd_configs"]
    by_farm |= {"scheme": "http", "scrape_timeout": SECONDS}
    by_workers |= {"scrape_interval": SECONDS, "scrape_timeout": SECONDS}
    by_farm["static_configs"] = [{"targets": [_host(farm.running.client.http)]}]
    by_workers["static_configs"] = [
        {"targets": list(map(_host, farm.running.status_addresses.values()))}
    ]
    rules = yaml.safe_load(RULES.read_text())
    for rule in rules["groups"][0]["rules"]:
        if "for" in rule:
            rule["for"] = "0s"
    (folder / "rules.yaml").write_text(yaml.safe_dump(rules))
    async with prometheus.running(folder, config) as started:
        yield started


def _host(address: str) -> str:
    return urlsplit(address).netloc


async def until(holds: Callable[[], Awaitable[object]], *, seconds: float = 60) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(seconds):
        while not await holds():  # noqa: ASYNC110 another process sets no event
            await asyncio.sleep(0.2)


@pytest.mark.parametrize(
    "question",
    [
        pytest.param(("check", "rules", "rules.yaml"), id="the-rules-load"),
        pytest.param(("test", "rules", "rules.test.yaml"), id="each-alert-by-its-own-test"),
        pytest.param(
            ("check", "config", "--syntax-only", "prometheus.yaml"), id="the-configuration-loads"
        ),
    ],
)
async def test_promtool_takes_what_is_shipped(question: tuple[str, ...]) -> None:
    """Each alert is raised by what it is for, and ends with it."""
    asked = await asyncio.to_thread(
        subprocess.run,
        [prometheus.program("promtool"), *question],
        cwd=SHIPPED,
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert asked.returncode == 0, asked.stdout + asked.stderr


async def test_the_farm_and_both_workers_are_seen(watcher: Prometheus) -> None:
    """Each by its own address, and the workers in the farm's numbers as well."""

    # A look that takes too long on a busy machine is one that failed: the next one counts.
    async def values(expression: str) -> list[float]:
        return [value for _, value in await watcher.query(expression)]

    await until(lambda: _is(values("up"), [1, 1, 1]))
    await until(lambda: _is(values("sum(blendrop_workers)"), [2]))
    await until(lambda: _is(values("count by (instance) (blendrop_worker_busy == 0)"), [1, 1]))
    # Before its first answer it was silent.
    await until(lambda: _is(watcher.query('ALERTS{alertname=~"Blendrop.*"}'), []))


async def _is(asked: Awaitable[Any], wanted: object) -> bool:
    return bool(await asked == wanted)


async def test_a_parked_message_raises_the_alarm_until_it_is_gone(
    farm: WatchedFarm, watcher: Prometheus
) -> None:
    """A worker parks what it cannot read, the host what no function could carry out."""

    async def alarms() -> list[str]:
        raised = await watcher.firing("BlendropPoisonMessages")
        return sorted(labels["queue"] for labels in raised)

    await until(lambda: _is(alarms(), []))
    await farm.send(settings.BATCHES_QUEUE, "no message of ours")
    await until(lambda: _is(alarms(), [settings.POISON_QUEUE]))

    async with _queue(farm, settings.UPLOADS_POISON_QUEUE) as uploads:
        await uploads.create_queue()
        await uploads.send_message("as the host leaves one")
    await until(lambda: _is(alarms(), [settings.POISON_QUEUE, settings.UPLOADS_POISON_QUEUE]))

    for name in (settings.POISON_QUEUE, settings.UPLOADS_POISON_QUEUE):
        async with _queue(farm, name) as parked:
            await parked.clear_messages()
    await until(lambda: _is(alarms(), []))


async def test_a_killed_worker_is_counted_as_lost(farm: WatchedFarm, watcher: Prometheus) -> None:
    """Though another took its place; one that leaves in order is not."""

    async def lost() -> list[float]:
        return [value for _, value in await watcher.query("blendrop_workers_lost")]

    await until(lambda: _is(lost(), [0]))
    stopped = farm.running.workers["worker-2"].process
    stopped.send_signal(signal.SIGTERM)
    await asyncio.wait_for(stopped.wait(), 15)
    os.kill(farm.running.workers["worker-1"].process.pid, signal.SIGKILL)
    await until(lambda: _is(lost(), [1]))


def _queue(farm: WatchedFarm, name: str) -> queues.QueueClient:
    return queues.QueueClient.from_connection_string(farm.connection_string, name)
