"""Does the doctor see an identity that lacks a role? With a stand-in for `az`, as Azure is away."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from blendrop.adapters.azure_clients import Clients
from infra.checks import bicep_folder
from local import assigned_roles, looks

pytestmark = pytest.mark.asyncio

GROUP = "/subscriptions/1234/resourceGroups/rg-farm"
ACCOUNT = f"{GROUP}/providers/Microsoft.Storage/storageAccounts/stdata1"
PRINCIPALS = {"functions": "p-1", "worker": "p-2", "platform": "p-3", "topic": "p-4"}
# Answers by the command's first words, from a file beside it.
STAND_IN = f"""#!{sys.executable}
import json, pathlib, sys
answers = json.loads(pathlib.Path(__file__).with_name("answers.json").read_text())
for words, answer in answers.items():
    if " ".join(sys.argv[1:]).startswith(words):
        print(json.dumps(answer))
        break
else:
    sys.exit("Please run 'az login' to setup account.")
"""


def assignments() -> list[dict[str, str]]:
    """Return what `az role assignment list` says of a farm where all is well."""
    templates = bicep_folder.BicepFolder(assigned_roles._TEMPLATES)
    return [
        {
            "principalId": PRINCIPALS[who],
            "roleDefinitionId": f"/subscriptions/1234/providers/x/roleDefinitions/{guid}",
            "scope": f"{GROUP}/providers/{scope.replace('[^/]+', 'some-name')}",
        }
        for who, (_, guid), scope in assigned_roles.expected(templates, "stdata1")
    ]


@pytest.fixture
def answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What `az` answers on a farm where all is well; `ask` writes it down."""
    program = tmp_path / "az"
    program.write_text(STAND_IN)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    return {
        "storage account show --name stdata1": {"id": ACCOUNT, "resourceGroup": "rg-farm"},
        "identity list --resource-group rg-farm": [
            {"name": f"id-{who}-abc", "principalId": principal}
            for who, principal in PRINCIPALS.items()
            if who != "topic"
        ],
        "eventgrid system-topic list": [
            {"source": ACCOUNT.upper(), "identity": {"principalId": PRINCIPALS["topic"]}}
        ],
        "role assignment list --all": assignments(),
    }


async def ask(answers: dict[str, Any], folder: Path) -> str:
    """Take the look."""
    (folder / "answers.json").write_text(json.dumps(answers))
    clients = Clients(blob_address="-", queue_address="-", table_address="-")
    return await assigned_roles.look(looks.Patient(clients, "", None, account="stdata1"))


async def test_a_farm_with_all_its_roles(answers: dict[str, Any], tmp_path: Path) -> None:
    """Every identity that the templates name is looked at."""
    said = await ask(answers, tmp_path)

    assert said.startswith("4 identities hold their ")


@pytest.mark.parametrize("gone", range(len(assignments())))
async def test_each_role_that_is_missing_is_named(
    answers: dict[str, Any], tmp_path: Path, gone: int
) -> None:
    """By who lacks what, and where."""
    del answers["role assignment list --all"][gone]

    with pytest.raises(looks.UnwellError, match=r"^\w+ lacks \w+ on \S+$"):
        await ask(answers, tmp_path)


async def test_a_role_on_another_queue_or_farm_does_not_count(
    answers: dict[str, Any], tmp_path: Path
) -> None:
    """Only the very resource does."""
    for one in answers["role assignment list --all"]:
        one["scope"] = one["scope"].replace("rg-farm", "rg-other")

    others = f"and {len(assignments()) - 5} more"  # than the five that are named
    with pytest.raises(looks.UnwellError, match=f"functions lacks blobDataOwner .* {others}"):
        await ask(answers, tmp_path)


async def test_a_topic_without_an_identity_is_named(
    answers: dict[str, Any], tmp_path: Path
) -> None:
    """It could deliver nothing."""
    answers["eventgrid system-topic list"][0]["identity"] = None

    with pytest.raises(looks.UnwellError, match="no identity of topic in rg-farm"):
        await ask(answers, tmp_path)


async def test_who_is_not_signed_in_is_told_so(answers: dict[str, Any], tmp_path: Path) -> None:
    """With what az itself said."""
    del answers["storage account show --name stdata1"]

    with pytest.raises(looks.UnwellError, match="Please run 'az login'"):
        await ask(answers, tmp_path)


async def test_where_az_is_missing_it_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is the only way to ask Azure for them."""
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(looks.UnwellError, match="az is not installed"):
        await ask({}, tmp_path)
