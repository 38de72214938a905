"""Does Azure know every property that the templates give a resource, and every value by its name?

The compiler would tell, where it is at hand: what nobody knows is refused at deployment.
`known_properties.json` holds, for each type, every property in use by the object it stands in, and
`known_values.json` what those may be that are chosen from a list. A new one is looked up for its
API version in the public type definitions of Bicep (categories of logs: in Microsoft's list of
them) before it is added there.
"""

import json
from collections.abc import Iterator
from pathlib import Path

from infra.checks import bicep_file, bicep_folder
from infra.checks.finding import Finding

_KNOWN = Path(__file__).with_name("known_properties.json")
_VALUES = Path(__file__).with_name("known_values.json")
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
# The object's path, the property, its value if that is a literal text, the resource's line.
Used = tuple[str, str, str | None, int]


def broken(folder: bicep_folder.BicepFolder) -> Iterator[Finding]:
    """Yield every property, and every value out of a list, that is not known."""
    known = {
        kind: {path: set(names.split()) for path, names in objects.items()}
        for kind, objects in json.loads(_KNOWN.read_text()).items()
    }
    lists: dict[str, dict[str, list[str]]] = json.loads(_VALUES.read_text())
    for file in folder.files.values():
        for kind, (path, name, value, line) in used(file):
            allowed = lists.get(kind, {}).get(f"{path}.{name}".lstrip("."))
            if value is not None and allowed is not None and value not in allowed:
                text = f"{kind} {name} may not be {value!r}, but {', '.join(allowed)}"
                yield Finding(file.path, line, "unknown-value", text)
            if name not in known.get(kind, {}).get(path, set()):
                where = f"{kind} {path}".rstrip()
                text = f"{where} has no {name} that {_KNOWN.name} knows: is it a property of it?"
                yield Finding(file.path, line, "unknown-property", text)


def used(file: bicep_file.BicepFile) -> Iterator[tuple[str, Used]]:
    """Yield the type and every property of every resource that a file makes."""
    for resource in file.resources:
        if not resource.existing:
            for path, name, value in _within(file, resource.body, _start(resource), 0):
                yield resource.type, (path, name, value, resource.line)


def _start(resource: bicep_file.Resource) -> str:
    # Kinds of `config` are told apart by their name alone.
    return str(resource.body["name"]) if resource.type.endswith("/config") else ""


def _within(
    file: bicep_file.BicepFile, value: bicep_file.Value, path: str, depth: int
) -> Iterator[tuple[str, str, str | None]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            below = f"{path}.{name}".lstrip(".")
            shown = name if path not in _OUR_OWN else "*"
            for literal in _literals(file, inner, depth):
                yield path, shown, literal
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


def _literals(
    file: bicep_file.BicepFile, value: bicep_file.Value, depth: int
) -> Iterator[str | None]:
    """Yield each text that a value may be; None for what is no literal text."""
    if isinstance(value, bicep_file.Expression) and depth < _DEEPEST:
        declared = file.variables.get(value.text)
        for inner in [declared.value] if declared else bicep_file.alternatives(value):
            if inner == value:
                yield None
            else:
                yield from _literals(file, inner, depth + 1)
    else:
        yield value if isinstance(value, str) else None
