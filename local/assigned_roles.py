"""Has every identity of a farm in Azure the roles that the templates give it?

Asks `az`, as whoever is signed in; reading assignments takes the right to read the resource group.
"""

import asyncio
import json
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from infra.checks import bicep_file, bicep_folder, role_rules
from local import looks

_TEMPLATES = Path(__file__).resolve().parents[1] / "infra/bicep"
_SECONDS = 120
_SHOWN = 5


async def look(patient: looks.Patient) -> str:
    """Look whether each identity is there, and holds each role that its work takes."""
    account = await _az("storage", "account", "show", "--name", patient.account)
    group, identifier = str(account["resourceGroup"]), str(account["id"])
    within = identifier.lower().partition("/providers/")[0] + "/providers/"
    principals = {
        **{
            match[1]: str(one["principalId"])
            for one in await _az("identity", "list", "--resource-group", group)
            if (match := re.match(r"id-(functions|worker|platform)-", str(one["name"])))
        },
        **await _topic(group, identifier),
    }
    assigned = await _az("role", "assignment", "list", "--all", "--fill-principal-name", "false")
    wanted = list(expected(bicep_folder.BicepFolder(_TEMPLATES), patient.account))
    if gone := {who for who, _, _ in wanted} - principals.keys():
        raise looks.UnwellError(
            f"there is no identity of {', '.join(sorted(gone))} in {group}",
            "Deploy infra/bicep again: it makes what is missing",
        )
    held = [
        (str(one["principalId"]), _guid(one["roleDefinitionId"]), str(one["scope"]).lower())
        for one in assigned
    ]
    lacking = [
        f"{who} lacks {role} on {scope.rpartition('/')[2]}"
        for who, (role, guid), scope in wanted
        if not _holds(held, principals[who], guid, re.escape(within) + scope.lower())
    ]
    if lacking:
        more = f" and {len(lacking) - _SHOWN} more" if len(lacking) > _SHOWN else ""
        raise looks.UnwellError(
            "; ".join(lacking[:_SHOWN]) + more,
            "Deploy infra/bicep again: it gives what is missing, which can take minutes to count",
        )
    return f"{len(principals)} identities hold their {len(wanted)} roles"


def _holds(held: Sequence[tuple[str, str, str]], who: str, guid: str, scope: str) -> bool:
    return any(
        (principal, role) == (who, guid) and re.fullmatch(scope, at) for principal, role, at in held
    )


def expected(
    templates: bicep_folder.BicepFolder, account: str
) -> Iterator[tuple[str, tuple[str, str], str]]:
    """Yield who should hold which role (name, GUID), on what: a pattern of its id's end."""
    access = templates.module("access")
    names, roles = templates.data("names"), templates.data("roles")
    by_path = {one.path: one for one in access.resources if one.existing}
    for grant in role_rules.grants(templates):
        if grant.path == access.path and grant.who != "operator":
            scope = _scope(by_path, grant.scope, names, account)
            yield grant.who, (grant.role, roles[grant.role]), scope


def _scope(
    by_path: dict[str, bicep_file.Resource], path: str, names: dict[str, str], account: str
) -> str:
    """Return the end of a resource's id, like Microsoft.X/types/name/children/name."""
    parts = path.split("::")
    resources = [by_path["::".join(parts[: end + 1])] for end in range(len(parts))]
    provider, *kinds = resources[-1].type.split("/")
    called = [_called(one.body["name"], names, account) for one in resources]
    pairs = zip(kinds, called, strict=True)
    return "/".join([provider, *(part for pair in pairs for part in pair)])


def _called(name: bicep_file.Value, names: dict[str, str], account: str) -> str:
    if not isinstance(name, bicep_file.Expression):
        return str(name)
    if name.text.startswith("names."):
        return names[name.text.removeprefix("names.")]
    return account if name.text == "dataStorageName" else "[^/]+"


async def _topic(group: str, account: str) -> dict[str, str]:
    for one in await _az("eventgrid", "system-topic", "list", "--resource-group", group):
        if str(one["source"]).lower() == account.lower() and one.get("identity"):
            return {"topic": str(one["identity"]["principalId"])}
    return {}


def _guid(role: str) -> str:
    return str(role).rpartition("/")[2]


async def _az(*arguments: str) -> Any:  # noqa: ANN401 whatever the command answers
    program = shutil.which("az")
    if program is None:
        raise looks.UnwellError(
            "az is not installed here", "Install the Azure CLI, and run az login"
        )
    process = await asyncio.create_subprocess_exec(
        *(program, *arguments, "--output", "json"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(_SECONDS):
        said, complaint = await process.communicate()
    if process.returncode:
        raise looks.UnwellError(
            f"az {' '.join(arguments[:3])}: {' '.join(complaint.decode().split())[:200]}",
            "Run az login, choose the subscription (az account set), and look at the name",
        )
    return json.loads(said)
