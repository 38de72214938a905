"""Has every identity the roles that its code needs, and no more?"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from infra.checks import bicep_azure_rules, bicep_file, bicep_folder, known_azure, role_tables
from infra.checks.finding import Finding

# How a template speaks of principals that are no parameter.
_PRINCIPALS = {
    "clusterIdentity.properties.principalId": "clusterIdentity",
    "cluster.properties.identityProfile.kubeletidentity.objectId": "nodes",
}


@dataclass(frozen=True)
class Grant:
    """One role assignment."""

    who: str
    scope: str  # path of the resource, like dataStorage::queueService::batches
    role: str
    path: Path
    line: int

    def covers(self, need: role_tables.Need, paths: dict[str, str]) -> bool:
        """Tell whether the need lies at the grant's scope, or below it."""
        path = paths.get(need.on, need.on)
        return self.who == need.who and (path + "::").startswith(self.scope + "::")


def grants(folder: bicep_folder.BicepFolder) -> list[Grant]:
    """Return every role assignment of the templates."""
    return [
        _grant(file, resource)
        for file in folder.files.values()
        for resource in file.resources
        if resource.type == "Microsoft.Authorization/roleAssignments"
    ]


def _grant(file: bicep_file.BicepFile, resource: bicep_file.Resource) -> Grant:
    properties = resource.body["properties"]
    assert isinstance(properties, dict)  # noqa: S101 the azure rules have looked
    principal = properties["principalId"]
    scope = resource.body["scope"]
    assert isinstance(principal, bicep_file.Expression)  # noqa: S101
    assert isinstance(scope, bicep_file.Expression)  # noqa: S101
    return Grant(
        who=_PRINCIPALS.get(principal.text, principal.text.removesuffix("PrincipalId")),
        scope=scope.text,
        role=bicep_azure_rules.role_of(properties["roleDefinitionId"]) or "",
        path=file.path,
        line=resource.line,
    )


def broken(page: Path, folder: bicep_folder.BicepFolder) -> Iterator[Finding]:
    """Yield what an identity lacks, and what it holds without need."""
    tables = role_tables.read(page)
    given = grants(folder)
    yield from _roles(page, tables)
    yield from missing(page, folder, given)
    for grant in given:
        yield from _too_much(grant, tables, _paths(folder))


def missing(page: Path, folder: bicep_folder.BicepFolder, given: list[Grant]) -> Iterator[Finding]:
    """Yield the needs that a list of assignments does not meet."""
    tables = role_tables.read(page)
    paths = _paths(folder)
    for need in tables.needs:
        allowed = {
            permission
            for grant in given
            if grant.covers(need, paths)
            for permission in _permissions(tables, grant.role)
        }
        if not need.any_of & allowed:
            text = (
                f"{need.who} lacks {' or '.join(sorted(need.any_of))} on {need.on}, "
                f"for {need.reason}"
            )
            yield Finding(folder.module("access").path, 1, "missing-role", text)


def _roles(page: Path, tables: role_tables.RoleTables) -> Iterator[Finding]:
    said = {role: identifier for role, (identifier, _) in tables.roles.items()}
    for role in sorted(said.items() ^ known_azure.ROLE_IDS.items()):
        yield Finding(page, 1, "unknown-role", f"{role[0]} and known_azure.py disagree")


def _too_much(
    grant: Grant, tables: role_tables.RoleTables, paths: dict[str, str]
) -> Iterator[Finding]:
    held = _permissions(tables, grant.role)
    needed = [need for need in tables.needs if grant.covers(need, paths) and need.any_of & held]
    if not needed:
        text = f"{grant.who} needs nothing that {grant.role} gives on {grant.scope}"
        yield Finding(grant.path, grant.line, "needless-role", text)
    for role, (_, allows) in tables.roles.items():
        if allows < held and all(need.any_of & allows for need in needed):
            text = f"{role} is enough for {grant.who} on {grant.scope}, and {grant.role} is more"
            yield Finding(grant.path, grant.line, "wide-role", text)
    narrower = {paths.get(need.on, need.on) for need in needed} - {grant.scope}
    if needed and len(narrower) == 1 and not any(_at(need, grant, paths) for need in needed):
        text = f"{grant.who} needs {grant.role} on {narrower.pop()} alone"
        yield Finding(grant.path, grant.line, "wide-role", text)


def _at(need: role_tables.Need, grant: Grant, paths: dict[str, str]) -> bool:
    return paths.get(need.on, need.on) == grant.scope


def _permissions(tables: role_tables.RoleTables, role: str) -> frozenset[str]:
    return tables.roles[role][1] if role in tables.roles else frozenset()


def _paths(folder: bicep_folder.BicepFolder) -> dict[str, str]:
    """Return the whole path of every resource that roles are given on, by its last part."""
    return {
        resource.symbol: resource.path
        for resource in folder.module("access").resources
        if resource.existing
    }
