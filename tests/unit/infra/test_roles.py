"""Every identity has the roles that its code needs, and no more."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from infra.checks import bicep_folder, code_calls, role_rules
from infra.checks.finding import Finding

ACCESS = "infra/bicep/modules/access.bicep"
PAGE = "docs/roles.md"

OPERATORS_DEAD_LETTERS = (
    "deadLetters.id, operatorPrincipalId, roles.blobDataReader)\n  properties: {\n    principalId: "
)

FAULTS = [
    pytest.param(
        (ACCESS, "principalId: workerPrincipalId", "principalId: topicPrincipalId", "missing-role"),
        id="missing-role",
    ),
    pytest.param(
        (
            ACCESS,
            "'Microsoft.Authorization/roleDefinitions', roles.blobDataReader)",
            "'Microsoft.Authorization/roleDefinitions', roles.blobDataOwner)",
            "wide-role",
        ),
        id="wider-role-than-needed",
    ),
    pytest.param(
        (
            ACCESS,
            "  scope: dataStorage::blobService::scenes\n",
            "  scope: dataStorage\n",
            "wide-role",
        ),
        id="wider-scope-than-needed",
    ),
    pytest.param(
        (
            PAGE,
            "| `platform` | the worker's image | image/pull | registry |\n",
            "",
            "needless-role",
        ),
        id="role-without-a-need",
    ),
    pytest.param(
        (
            PAGE,
            "| `BatchQueue.renew` | `update_message`",
            "| `BatchQueue.renew` | `peek_messages`",
            "other-call",
        ),
        id="call-that-the-page-does-not-know",
    ),
    pytest.param(
        (PAGE, "`BatchQueue.park`, `DueJobs.send`", "`JobTable.get_job`", "other-call"),
        id="deployable-that-uses-more-than-the-page-says",
    ),
    pytest.param(
        (
            "blendrop/adapters/azure_scenes.py",
            "await blob.get_blob_properties()",
            "await blob.delete_blob()",
            "other-call",
        ),
        id="adapter-that-makes-another-call",
    ),
    pytest.param(
        (
            "blendrop/adapters/azure_scenes.py",
            "properties = await blob.get_blob_properties()",
            "look = blob.undelete_blob; properties = await look()",
            "other-call",
        ),
        id="call-through-a-variable-that-no-table-knows",
    ),
    pytest.param(
        (
            "blendrop/wiring.py",
            "    return chosen.worker_name or socket.gethostname()",
            "    return chosen.clients.queues.clear_messages()",
            "other-call",
        ),
        id="call-past-the-ports",
    ),
    pytest.param(
        (
            "functions/upload_polling.py",
            "uploaded.blob_name)",
            "uploaded.download_blob().name)",
            "other-call",
        ),
        id="call-of-a-client-that-the-host-made",
    ),
    pytest.param(
        (
            "functions/sweeper.py",
            "        await recover.sweep(world.submission())",
            "        waiting = world.submission().queue\n        await waiting.receive(lease=None)",
            "other-call",
        ),
        id="port-by-another-name",
    ),
    pytest.param(
        (
            "functions/sweeper.py",
            "        await recover.sweep(world.submission())",
            "        line = world.submission().queue\n        await line.receive(lease=None)",
            "other-call",
        ),
        id="everyday-word-by-another-name",
    ),
    pytest.param(
        (
            "local/looks.py",
            '    return "rows can be read"',
            '    await table.upsert_entity({})\n    return "rows can be read"',
            "other-call",
        ),
        id="doctor-who-does-more-than-the-page-says",
    ),
    pytest.param(
        (
            ACCESS,
            OPERATORS_DEAD_LETTERS + "operatorPrincipalId",
            OPERATORS_DEAD_LETTERS + "workerPrincipalId",
            "missing-role",
        ),
        id="operator-who-cannot-see-what-the-doctor-looks-at",
    ),
    pytest.param(
        (
            ACCESS,
            "  scope: vault::webhooksSecret\n",
            "  scope: vault::frameShareKey\n",
            "missing-role",
        ),
        id="secret-that-the-functions-may-not-read",
    ),
    pytest.param((PAGE, "2a2b9908", "2a2b9909", "unknown-role"), id="page-with-another-role-id"),
]


def _findings(root: Path) -> Iterator[Finding]:
    templates = bicep_folder.BicepFolder(root / "infra/bicep")
    yield from role_rules.broken(root / PAGE, templates)
    yield from code_calls.broken(root, root / PAGE)


def test_roles_are_those_that_the_code_needs(repository: Path) -> None:
    """The page says what the code calls, and the templates assign just what that needs."""
    assert list(_findings(repository)) == []


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_role_fault_is_found(
    copied: Path,
    plant: Callable[[str, str, str], None],
    fault: tuple[str, str, str, str],
) -> None:
    """A right too few or too many, and a page that fell behind the code, are found."""
    file, old, new, rule = fault
    plant(file, old, new)

    assert rule in {finding.rule for finding in _findings(copied)}


def test_every_assignment_is_needed(repository: Path) -> None:
    """Without any one of the assignments, somebody lacks a right."""
    templates = bicep_folder.BicepFolder(repository / "infra/bicep")
    lacking = []
    for grant in role_rules.grants(templates):
        others = [one for one in role_rules.grants(templates) if one != grant]
        lacking.append(bool(list(role_rules.missing(repository / PAGE, templates, others))))

    assert all(lacking)
    assert len(lacking) > 20
