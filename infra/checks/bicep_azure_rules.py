"""Do the templates keep to known versions, roles and names, and their secrets to themselves?"""

import json
import re
from collections.abc import Iterator

from infra.checks import bicep_file, bicep_folder, known_azure
from infra.checks.finding import Finding

_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_ROLE = re.compile(r"\broles\.(\w+)\)$")
# What a deployment's history must never show: results of list operations, keys, passwords.
_SECRET = re.compile(
    r"\blist[A-Z]\w*\(|connectionstring|accountkey|password|\.value\b", re.IGNORECASE
)
_STORAGE_KEY = re.compile(r"AccountKey=|SharedAccessSignature=|[A-Za-z0-9+/]{86}==")
# Properties whose value is one of the names that the code knows too.
_NAME_PROPERTIES = {"queueName", "shareName", "blobContainerName", "mountPath"}
_NAMED_TYPES = {"containers", "queues", "tables", "shares"}


def broken(folder: bicep_folder.BicepFolder) -> Iterator[Finding]:
    """Yield every place where a template does what it may not."""
    for file in folder.files.values():
        yield from _api_versions(file)
        yield from _roles(file)
        yield from _secrets(file)
        yield from _literal_names(file, folder.data("names"))
    yield from _role_table(folder)
    yield from _secret_parameters(folder)


def _api_versions(file: bicep_file.BicepFile) -> Iterator[Finding]:
    for resource in file.resources:
        known = known_azure.api_version(resource.type)
        if known != resource.api_version:
            wanted = f"use {known}" if known else "add the type to known_azure.py"
            text = f"{resource.type}@{resource.api_version} is not on the list: {wanted}"
            yield Finding(file.path, resource.line, "unknown-api-version", text)


def _roles(file: bicep_file.BicepFile) -> Iterator[Finding]:
    for resource in file.resources:
        if resource.type != "Microsoft.Authorization/roleAssignments" or resource.existing:
            continue
        properties = resource.body.get("properties")
        definition = properties.get("roleDefinitionId") if isinstance(properties, dict) else None
        role = role_of(definition)
        if role is None or f"roles.{role})" not in text_of(resource.body.get("name")):
            text = f"{resource.symbol} must name its role by roles.json, in its name as well"
            yield Finding(file.path, resource.line, "unknown-role", text)
        if "scope" not in resource.body:
            text = f"{resource.symbol} has the whole resource group for a scope"
            yield Finding(file.path, resource.line, "wide-role", text)
    for literal, line in file.strings:
        if _GUID.search(literal):
            text = "a GUID in a template: roles stand in roles.json, all else is made by guid()"
            yield Finding(file.path, line, "unknown-role", text)


def role_of(definition: bicep_file.Value) -> str | None:
    """Return the name in roles.json that a role definition's id is made of."""
    found = _ROLE.search(text_of(definition))
    return found.group(1) if found else None


def _role_table(folder: bicep_folder.BicepFolder) -> Iterator[Finding]:
    path = folder.root / bicep_folder.DATA_FILES["roles"]
    for name, identifier in folder.data("roles").items():
        if known_azure.ROLE_IDS.get(name) != identifier:
            text = f"{name} is {identifier}, which is not that role"
            yield Finding(path, 1, "unknown-role", text)


def _secrets(file: bicep_file.BicepFile) -> Iterator[Finding]:
    secure = {name for name, given in file.parameters.items() if "secure" in given.decorators}
    for output in file.outputs.values():
        reads_secure = any(re.search(rf"\b{name}\b", output.text) for name in secure)
        if reads_secure or _SECRET.search(output.text):
            text = f"the output {output.name} would stand in the deployment's history"
            yield Finding(file.path, output.line, "secret-output", text)
    for name in secure:
        if file.parameters[name].default not in (None, ""):
            text = f"the secret {name} has a default that everybody can read"
            yield Finding(file.path, file.parameters[name].line, "secret-default", text)
    for literal, line in file.strings:
        if _STORAGE_KEY.search(literal):
            yield Finding(file.path, line, "secret-literal", "this looks like an account key")


def _secret_parameters(folder: bicep_folder.BicepFolder) -> Iterator[Finding]:
    secure = {
        name for name, given in folder.main.parameters.items() if "secure" in given.decorators
    }
    for path, values in folder.parameter_files.items():
        for name, value in values.items():
            is_key = bool(_STORAGE_KEY.search(json.dumps(value)))
            if (name in secure and not str(value).startswith("${")) or is_key:
                text = f"{name} is a secret and stands in a file"
                yield Finding(path, 1, "secret-literal", text)


def _literal_names(file: bicep_file.BicepFile, names: dict[str, str]) -> Iterator[Finding]:
    # Words like `frames` mean other things too; a name with a hyphen or a slash can only be that.
    telling = {
        name
        for key, name in names.items()
        if ("-" in name or "/" in name) and not key.startswith("kubernetes")
    }
    for literal, line in file.strings:
        if any(name in literal for name in telling):
            text = f"{literal!r} holds a name that belongs in names.json"
            yield Finding(file.path, line, "literal-name", text)
    for resource in file.resources:
        for key, value in _pairs(resource.body):
            if key in _NAME_PROPERTIES and isinstance(value, str):
                text = f"{key} {value!r} belongs in names.json"
                yield Finding(file.path, resource.line, "literal-name", text)
        if resource.type.rpartition("/")[2] in _NAMED_TYPES and isinstance(
            resource.body.get("name"), str
        ):
            text = f"the name of {resource.symbol} belongs in names.json"
            yield Finding(file.path, resource.line, "literal-name", text)


def _pairs(value: bicep_file.Value) -> Iterator[tuple[str, bicep_file.Value]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key, inner
            yield from _pairs(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _pairs(inner)
    elif isinstance(value, bicep_file.Loop):
        yield from _pairs(value.body)


def text_of(value: bicep_file.Value) -> str:
    """Return how an expression is written; empty for a literal."""
    return value.text if isinstance(value, bicep_file.Expression) else ""
