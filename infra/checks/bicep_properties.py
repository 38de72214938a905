"""Does Azure know every property that the templates give a resource?

The compiler would tell, where it is at hand: a property that nobody knows is refused at deployment.
`known_properties.json` holds, for each type, every property in use by the object that it stands in.
A new one is looked up for its API version in the public type definitions of Bicep before it is
added there.
"""

import json
from collections.abc import Iterator
from pathlib import Path

from infra.checks import bicep_file, bicep_folder
from infra.checks.finding import Finding

_KNOWN = Path(__file__).with_name("known_properties.json")
# Objects whose keys are names of our own choice.
_OUR_OWN = {
    "azurestorageaccounts.properties",
    "appsettings.properties",
    "identity.userAssignedIdentities",
    "properties.agentPoolProfiles.nodeLabels",
    "properties.configuration.eventTriggerConfig.scale.rules.metadata",
    "properties.notifications",
    "properties.template.scale.rules.custom.metadata",
    "tags",
}
_DEEPEST = 8  # variables within variables
Used = tuple[str, str, int]  # the object's path, the property, the resource's line


def broken(folder: bicep_folder.BicepFolder) -> Iterator[Finding]:
    """Yield every property that is not known."""
    known = {
        kind: {path: set(names.split()) for path, names in objects.items()}
        for kind, objects in json.loads(_KNOWN.read_text()).items()
    }
    for file in folder.files.values():
        for kind, (path, name, line) in used(file):
            if name not in known.get(kind, {}).get(path, set()):
                where = f"{kind} {path}".rstrip()
                text = f"{where} has no {name} that {_KNOWN.name} knows: is it a property of it?"
                yield Finding(file.path, line, "unknown-property", text)


def used(file: bicep_file.BicepFile) -> Iterator[tuple[str, Used]]:
    """Yield the type and every property of every resource that a file makes."""
    for resource in file.resources:
        if not resource.existing:
            for path, name in _within(file, resource.body, _start(resource), 0):
                yield resource.type, (path, name, resource.line)


def _start(resource: bicep_file.Resource) -> str:
    # Kinds of `config` are told apart by their name alone.
    return str(resource.body["name"]) if resource.type.endswith("/config") else ""


def _within(
    file: bicep_file.BicepFile, value: bicep_file.Value, path: str, depth: int
) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            below = f"{path}.{name}".lstrip(".")
            yield path, name if path not in _OUR_OWN else "*"
            yield from _within(file, inner, below if path not in _OUR_OWN else f"{path}.*", depth)
    elif isinstance(value, list):
        for inner in value:
            yield from _within(file, inner, path, depth)
    elif isinstance(value, bicep_file.Loop):
        yield from _within(file, value.body, path, depth)
    elif isinstance(value, bicep_file.Expression) and depth < _DEEPEST:
        declared = file.variables.get(value.text)
        of_it = [declared.value] if declared else bicep_file.alternatives(value)
        for inner in of_it:
            if inner != value:
                yield from _within(file, inner, path, depth + 1)
