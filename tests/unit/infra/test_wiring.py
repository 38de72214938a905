"""Each part of the templates leads to the part that it must, and a part that does not is found."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from infra.checks import bicep_folder, role_tables, wiring_rules, worker_rules
from infra.checks.finding import Finding

MAIN = "main.bicep"
ACCESS = "modules/access.bicep"
ALERTS = "modules/alerts.bicep"
APP = "modules/function-app.bicep"
DATA = "modules/data-storage.bicep"
EVENTS = "modules/upload-events.bicep"
FILES = "modules/files-storage.bicep"
NAMES = "modules/private-endpoints.bicep"
WORKER = "modules/worker.bicep"

FAULTS = [
    pytest.param(
        (EVENTS, "${names.scenesContainer}", "${names.deadLettersContainer}"),
        id="events-of-another-container",
    ),
    pytest.param((EVENTS, "names.uploadsQueue", "names.batchesQueue"), id="events-elsewhere"),
    pytest.param((EVENTS, "BlobCreated", "BlobRenamed"), id="events-of-another-kind"),
    pytest.param(
        (EVENTS, "names.deadLettersContainer", "names.scenesContainer"),
        id="dead-letters-among-the-scenes",
    ),
    pytest.param(
        (WORKER, "  queueName: names.batchesQueue", "  queueName: names.poisonQueue"),
        id="scaler-of-another-queue",
    ),
    pytest.param(
        (WORKER, "metadata: highQueueMetadata", "metadata: queueMetadata"),
        id="scaler-that-forgets-a-queue",
    ),
    pytest.param((WORKER, "Strategy: 'all'", "Strategy: 'visibleonly'"), id="busy-worker-let-go"),
    pytest.param((WORKER, "'azure-queue'", "'azure-servicebus'"), id="scaler-of-another-kind"),
    pytest.param((WORKER, "port: statusPort", "port: 80"), id="probe-of-another-port"),
    pytest.param((WORKER, "minReplicas: 0", "minReplicas: 1"), id="worker-that-never-goes"),
    pytest.param(
        (
            WORKER,
            "registryServer\n    identity: platformIdentityId",
            "registryServer\n    identity: workerIdentityId",
        ),
        id="image-pulled-as-somebody-who-may-not",
    ),
    pytest.param(
        (
            WORKER,
            "volumeName: 'scratch'\n        mountPath: names.scratchPath",
            "volumeName: 'scratch'\n        mountPath: names.frameSharePath",
        ),
        id="scratch-mounted-elsewhere",
    ),
    pytest.param((APP, "      FRAME_SHARE_KEY:", "      FRAMES_KEY:"), id="setting-that-is-not"),
    pytest.param(
        (
            APP,
            "BLENDROP_FRAME_SHARE: names.frameSharePath",
            "BLENDROP_FRAME_SHARE: names.scratchPath",
        ),
        id="functions-that-look-elsewhere",
    ),
    pytest.param(
        (APP, "mountPath: names.frameSharePath", "mountPath: names.scratchPath"),
        id="share-mounted-elsewhere",
    ),
    pytest.param(
        (MAIN, "outputs.functionsClientId", "outputs.workerClientId"), id="app-as-somebody-else"
    ),
    pytest.param(
        (
            MAIN,
            "queueEndpoint: dataStorage.outputs.queue",
            "queueEndpoint: dataStorage.outputs.blob",
        ),
        id="crossed-addresses",
    ),
    pytest.param(
        (MAIN, "filesStorageName: filesStorage.outputs", "filesStorageName: dataStorage.outputs"),
        id="crossed-accounts",
    ),
    pytest.param(
        (MAIN, "filesStorage.outputs.webhookSecretUri", "filesStorage.outputs.frameShareKeyUri"),
        id="signed-with-another-secret",
    ),
    pytest.param(
        (FILES, "@secure()\nparam webhookSecret", "param webhookSecret"), id="secret-in-the-open"
    ),
    pytest.param((DATA, "SharedKeyAccess: false", "SharedKeyAccess: true"), id="account-with-keys"),
    pytest.param((DATA, "PublicAccess: false", "PublicAccess: true"), id="account-open-to-all"),
    pytest.param((FILES, "'TLS1_2'", "'TLS1_0'"), id="old-encryption"),
    pytest.param((NAMES, "privatelink.queue.", "privatelink.queues."), id="zone-of-another-name"),
    pytest.param(
        (NAMES, "'table'\n    targetId: data", "'table'\n    targetId: files"),
        id="private-endpoint-of-another-account",
    ),
    pytest.param(
        (ACCESS, "name: names.highQueue", "name: names.batchesQueue"), id="roles-on-another-queue"
    ),
    pytest.param(
        (
            APP,
            "BLENDROP_STORAGE__queueServiceUri: queue",
            "BLENDROP_STORAGE__queueServiceUri: blob",
        ),
        id="address-of-another-service",
    ),
    pytest.param((APP, "Identity: identityId", "Identity: planName"), id="secrets-read-by-nobody"),
    pytest.param(
        (APP, "names.packagesContainer", "names.scenesContainer"), id="package-among-the-scenes"
    ),
    pytest.param(
        (
            MAIN,
            "dependsOn: [\n    access\n    privateEndpoints",
            "dependsOn: [\n    privateEndpoints",
        ),
        id="app-before-its-roles",
    ),
    pytest.param(
        (ALERTS, ' or Uri contains "/${names.uploadsPoisonQueue}/"', ""),
        id="alert-that-forgets-a-poison-queue",
    ),
    pytest.param(
        (ALERTS, "/${names.batchesQueue}/", "/${names.poisonQueue}/"),
        id="alert-on-another-queue",
    ),
    pytest.param(
        ("modules/aks.bicep", "kube-system:keda-operator", "keda:keda-operator"),
        id="scaler-that-nobody-trusts",
    ),
]


def _findings(root: Path) -> Iterator[Finding]:
    templates = bicep_folder.BicepFolder(root / "infra/bicep")
    yield from wiring_rules.broken(templates)
    yield from worker_rules.broken(templates, role_tables.read(root / "docs/roles.md"))


def test_every_part_leads_where_it_must(repository: Path) -> None:
    """No output is crossed, no scaler watches another queue, no folder is looked for elsewhere."""
    assert list(_findings(repository)) == []


@pytest.mark.parametrize("fault", FAULTS)
def test_a_part_that_leads_elsewhere_is_found(
    copied: Path, plant: Callable[[str, str, str], None], fault: tuple[str, str, str]
) -> None:
    """Though every name in it exists."""
    file, old, new = fault
    plant(f"infra/bicep/{file}", old, new)

    assert list(_findings(copied)) != []


def test_workers_are_scaled_by_what_they_receive(
    copied: Path, plant: Callable[[str, str, str], None]
) -> None:
    """A worker that listens to one more queue needs a scaler of it: the roles page tells."""
    plant("docs/roles.md", "`receive_message` on high", "`receive_message` on dueJobs")

    assert "names.dueJobsQueue" in "".join(map(str, _findings(copied)))
