"""The Bicep templates keep every rule, and a fault of each kind is found."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from infra.checks import (
    bicep_azure_rules,
    bicep_folder,
    bicep_language_rules,
    bicep_properties,
)
from infra.checks.finding import Finding

MODULES = "infra/bicep/modules"
MAIN = "infra/bicep/main.bicep"

FAULTS = [
    pytest.param(
        (f"{MODULES}/worker.bicep", "var isJob = mode", "var isJob mode", "unreadable"),
        id="no-bicep",
    ),
    pytest.param(
        (
            f"{MODULES}/worker.bicep",
            "var isJob = mode == 'job'",
            "var isJob = mood == 'job'",
            "undeclared",
        ),
        id="name-that-is-nowhere",
    ),
    pytest.param(
        (MAIN, "identities.outputs.workerId\n", "identities.outputs.wrkId\n", "unknown-output"),
        id="output-that-is-nowhere",
    ),
    pytest.param(
        (MAIN, "'modules/worker.bicep'", "'modules/workers.bicep'", "missing-module"),
        id="module-that-is-nowhere",
    ),
    pytest.param(
        (
            MAIN,
            "'modules/worker.bicep'",
            "'br/public:avm/res/app/container-app:0.11.0'",
            "registry-module",
        ),
        id="module-from-a-registry",
    ),
    pytest.param(
        (MAIN, "    image: workerImage\n", "", "missing-parameter"), id="missing-parameter"
    ),
    pytest.param(
        (MAIN, "    image: workerImage\n", "    picture: workerImage\n", "unknown-parameter"),
        id="unknown-parameter",
    ),
    pytest.param(
        (f"{MODULES}/worker.bicep", "@description('The image to run.')\n", "", "undescribed"),
        id="parameter-without-a-word",
    ),
    pytest.param(
        (
            f"{MODULES}/worker.bicep",
            "var ownMemoryMib = 768",
            "var ownMemoryMib = 768\nvar x = 1",
            "unused",
        ),
        id="variable-that-nothing-reads",
    ),
    pytest.param(
        (f"{MODULES}/worker.bicep", "names.batchesQueue", "names.batchQueue", "missing-data"),
        id="shared-name-that-is-nowhere",
    ),
    pytest.param(
        ("infra/bicep/small.parameters.json", '"maxWorkers"', '"mostWorkers"', "unknown-parameter"),
        id="parameter-file-with-an-unknown-name",
    ),
    pytest.param(
        ("infra/bicep/small.parameters.json", '"cpu-4"', '"cpu-5"', "wrong-value"),
        id="parameter-file-with-a-value-that-is-not-allowed",
    ),
    pytest.param(
        ("infra/bicep/small.parameters.json", '"value": 10 }', '"value": 0 }', "wrong-value"),
        id="parameter-file-with-a-value-out-of-range",
    ),
    pytest.param(
        (
            "infra/bicep/main.parameters.json",
            '    "environmentName": { "value": "${AZURE_ENV_NAME}" },\n',
            "",
            "missing-parameter",
        ),
        id="azd-without-a-required-parameter",
    ),
    pytest.param(
        (f"{MODULES}/alerts.bicep", "'GreaterThan'", "'MoreThan'", "unknown-value"),
        id="value-that-azure-does-not-know",
    ),
    pytest.param(
        (f"{MODULES}/worker.bicep", "lifecycle: 'None'", "lifecycle: 'Never'", "unknown-value"),
        id="value-within-a-variable",
    ),
    pytest.param(
        (f"{MODULES}/upload-events.bicep", "'StorageQueue'", "'Queue'", "unknown-value"),
        id="kind-of-endpoint-that-azure-does-not-know",
    ),
    pytest.param(
        (f"{MODULES}/data-storage.bicep", "'StorageWrite'", "'StorageWrites'", "unknown-value"),
        id="log-that-no-service-writes",
    ),
    pytest.param(
        (
            f"{MODULES}/worker.bicep",
            "containerApps@2025-07-01",
            "containerApps@2099-01-01",
            "unknown-api-version",
        ),
        id="unknown-api-version",
    ),
    pytest.param(
        (
            f"{MODULES}/worker.bicep",
            "'Microsoft.App/jobs@",
            "'Microsoft.Batch/jobs@",
            "unknown-api-version",
        ),
        id="unknown-resource-type",
    ),
    pytest.param(
        (f"{MODULES}/worker.bicep", "cooldownPeriod: 300", "coolDown: 300", "unknown-property"),
        id="property-that-azure-does-not-know",
    ),
    pytest.param(
        (f"{MODULES}/worker.bicep", "    volumeMounts: [", "    mounts: [", "unknown-property"),
        id="property-within-a-variable",
    ),
    pytest.param(
        (
            f"{MODULES}/worker.bicep",
            "    configuration: {\n      activeRevisionsMode",
            "    activeRevisionsMode: 'Single'\n    configuration: {\n      activeRevisionsMode",
            "unknown-property",
        ),
        id="property-of-another-object",
    ),
    pytest.param(
        (f"{MODULES}/aks.bicep", "vmSize: nodeSize", "size: nodeSize", "unknown-property"),
        id="property-within-a-union",
    ),
    pytest.param(
        (
            f"{MODULES}/worker-environment.bicep",
            "infrastructureSubnetId: subnetId",
            "subnetId: subnetId",
            "unknown-property",
        ),
        id="property-within-a-choice",
    ),
    pytest.param(
        ("infra/bicep/roles.json", "2a2b9908", "2a2b9909", "unknown-role"),
        id="role-with-another-id",
    ),
    pytest.param(
        (
            f"{MODULES}/access.bicep",
            "'Microsoft.Authorization/roleDefinitions', roles.acrPull",
            "'Microsoft.Authorization/roleDefinitions', '8e3af657-a8ff-443c-a75c-2fe8c4bcb635'",
            "unknown-role",
        ),
        id="role-by-a-literal-id",
    ),
    pytest.param(
        (f"{MODULES}/access.bicep", "  scope: registry\n", "", "wide-role"),
        id="role-on-the-whole-resource-group",
    ),
    pytest.param(
        (
            f"{MODULES}/files-storage.bicep",
            "output id string = storage.id",
            "output id string = storage.listKeys().keys[0].value",
            "secret-output",
        ),
        id="secret-output",
    ),
    pytest.param(
        (
            f"{MODULES}/files-storage.bicep",
            "${names.webhooksSecret}'",
            "${webhookSecret}'",
            "secret-output",
        ),
        id="secret-parameter-in-an-output",
    ),
    pytest.param(
        (
            "infra/bicep/studio.parameters.json",
            '"monthlyBudget"',
            '"webhookSecret": { "value": "whsec_c2VjcmV0" },\n    "monthlyBudget"',
            "secret-literal",
        ),
        id="secret-parameter-in-a-file",
    ),
    pytest.param(
        (
            f"{MODULES}/registry.bicep",
            "param registryName string",
            "param registryName string\n@secure()\n@description('x')\nparam login string = 'me'",
            "secret-default",
        ),
        id="secret-with-a-default",
    ),
    pytest.param(
        (
            "infra/bicep/small.parameters.json",
            '"Standard_LRS"',
            '"AccountName=a;AccountKey=b"',
            "secret-literal",
        ),
        id="secret-in-a-parameter-file",
    ),
    pytest.param(
        (f"{MODULES}/upload-events.bicep", "names.uploadsQueue", "'uploads'", "literal-name"),
        id="queue-by-a-literal-name",
    ),
    pytest.param(
        (
            f"{MODULES}/alerts.bicep",
            "${names.poisonQueue}",
            "render-batches-poison",
            "literal-name",
        ),
        id="queue-by-a-literal-name-within-a-query",
    ),
]


def _findings(folder: Path) -> Iterator[Finding]:
    templates = bicep_folder.BicepFolder(folder)
    yield from bicep_language_rules.broken(templates)
    yield from bicep_azure_rules.broken(templates)
    yield from bicep_properties.broken(templates)


def test_the_templates_break_no_rule(repository: Path) -> None:
    """Every template reads, resolves, and keeps to known versions, roles and names."""
    assert list(_findings(repository / "infra/bicep")) == []


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(
    copied: Path,
    plant: Callable[[str, str, str], None],
    fault: tuple[str, str, str, str],
) -> None:
    """A fault of each kind is named by its rule."""
    file, old, new, rule = fault
    plant(file, old, new)

    assert rule in {finding.rule for finding in _findings(copied / "infra/bicep")}


def test_a_finding_says_where_it_is(copied: Path, plant: Callable[[str, str, str], None]) -> None:
    """A finding reads like a compiler's: file, line, rule, and what would be right."""
    plant(f"{MODULES}/workbook.bicep", "workbooks@2023-06-01", "workbooks@2020-01-01")

    (finding,) = _findings(copied / "infra/bicep")

    lines = (copied / f"{MODULES}/workbook.bicep").read_text().splitlines()
    assert "workbooks@2020-01-01" in lines[finding.line - 1]
    assert str(finding).endswith("is not on the list: use 2023-06-01")
