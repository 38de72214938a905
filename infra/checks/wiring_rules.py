"""Does each part of the templates lead to the part that it must?

Names that exist can still stand in the wrong place: events put on another queue, an app that acts
as somebody else. What follows from elsewhere (names of outputs) is derived; what everything else
leans on stands in `pins.json`.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path

from blendrop import settings
from infra.checks import bicep_azure_rules, bicep_file, bicep_folder, bicep_places, code_agreement
from infra.checks.finding import Finding

_OUTPUT = re.compile(r"\b(\w+)!?\.outputs\.(\w+)")
_SETTING = re.compile(r"@AppSettingRef\((\w+)\)")
_SECRET_NAME = re.compile(r"(secret|password|key)$", re.IGNORECASE)
# Parameters that are called after what they are to the module, and the output that is meant.
_MEANT = {
    ("functionApp", "identityId"): "functionsId",
    ("functionApp", "identityClientId"): "functionsClientId",
    ("functionApp", "subnetId"): "functionsSubnetId",
    ("privateEndpoints", "subnetId"): "endpointsSubnetId",
    ("workerEnvironment", "subnetId"): "workersSubnetId",
}
# What comes up only with the roles that it has.
_NEED_ROLES = {"functionApp", "uploadEvents", "workerEnvironment"}
# By template::resource and property: what stands there, as it is written, and why.
_PINS = Path(__file__).with_name("pins.json")


def broken(folder: bicep_folder.BicepFolder) -> Iterator[Finding]:
    """Yield every part that leads elsewhere."""
    yield from _crossed(folder)
    yield from _open_secrets(folder)
    yield from _pins(folder)
    yield from _order(folder.main)
    yield from _roles_elsewhere(folder.module("access"))
    yield from _addresses(folder)
    yield from _settings(folder.module("function-app"))
    yield from _private_names(folder.module("private-endpoints"))
    yield from _alerts(folder.module("alerts"))


def _crossed(folder: bicep_folder.BicepFolder) -> Iterator[Finding]:
    """Yield each output of a module that is handed on as another that it has."""
    main = folder.main
    outputs = {
        module.symbol: set(folder.files[(main.path.parent / module.source).resolve()].outputs)
        for module in main.modules
    }
    for module in main.modules:
        given = module.body.get("params")
        for name, value in given.items() if isinstance(given, dict) else ():
            for source, output in _OUTPUT.findall(bicep_azure_rules.text_of(value)):
                wanted = _wanted(module.symbol, name, source, outputs)
                if wanted and wanted != f"{source}.{output}":
                    text = f"{module.symbol} is given {source}.{output} for {name}, not {wanted}"
                    yield Finding(main.path, module.line, "other-wire", text)


def _wanted(module: str, name: str, source: str, outputs: dict[str, set[str]]) -> str:
    """Return the output that a parameter is called after; empty: after none."""
    by_name = _MEANT.get((module, name), name.replace("Identity", ""))
    if by_name in outputs.get(source, ()):
        return f"{source}.{by_name}"
    for other, held in outputs.items():
        for output in held:
            if name == other + output[0].upper() + output[1:]:
                return f"{other}.{output}"
    return ""


def _open_secrets(folder: bicep_folder.BicepFolder) -> Iterator[Finding]:
    for file in folder.files.values():
        for name, parameter in file.parameters.items():
            if _SECRET_NAME.search(name) and "secure" not in parameter.decorators:
                text = f"{name} would stand in the deployment's history: mark it @secure()"
                yield Finding(file.path, parameter.line, "secret-parameter", text)


def _pins(folder: bicep_folder.BicepFolder) -> Iterator[Finding]:
    for where, places in json.loads(_PINS.read_text()).items():
        module, _, symbol = where.partition("::")
        file = folder.module(module)
        (resource,) = (one for one in file.resources if one.symbol == symbol)
        for place, pin in places.items():
            found = bicep_places.at(file, resource.body.get("properties"), place)
            if found != pin["is"]:
                text = f"{symbol} has {found} for {place}, not {pin['is']}: {pin['for']}"
                yield Finding(file.path, resource.line, "other-wire", text)


def _order(main: bicep_file.BicepFile) -> Iterator[Finding]:
    """Yield what would be made before the roles that it needs to come up."""
    for module in main.modules:
        after = module.body.get("dependsOn")
        known = {bicep_places.written(one) for one in after} if isinstance(after, list) else set()
        if module.symbol in _NEED_ROLES and "access" not in known:
            text = f"{module.symbol} must be made after access, which gives its roles"
            yield Finding(main.path, module.line, "other-order", text)


def _roles_elsewhere(access: bicep_file.BicepFile) -> Iterator[Finding]:
    """Yield resources that roles are given on and that are called as another is."""
    for resource in access.resources:
        name = bicep_places.written(resource.body.get("name"))
        kinds = ("", "Container", "Queue", "Secret", "Table")
        if name.startswith("names.") and name not in {f"names.{resource.symbol}{k}" for k in kinds}:
            text = f"{resource.symbol} is {name}: roles on it would be given elsewhere"
            yield Finding(access.path, resource.line, "other-wire", text)


def _addresses(folder: bicep_folder.BicepFolder) -> Iterator[Finding]:
    """Yield services whose address is another's."""
    for module, variables in (
        ("function-app", code_agreement.function_variables(folder)),
        ("worker", code_agreement.worker_variables(folder)),
    ):
        for name, value in variables.items():
            service = name.partition("__")[2]
            wanted = f"{service.removesuffix('ServiceUri')}Endpoint"
            if service.endswith("ServiceUri") and bicep_places.written(value) != wanted:
                text = f"{name} is {bicep_places.written(value)}, not {wanted}"
                yield Finding(folder.module(module).path, 1, "other-wire", text)


def _settings(app: bicep_file.BicepFile) -> Iterator[Finding]:
    """Yield references to app settings that there are not."""
    (settings,) = (one for one in app.resources if one.body.get("name") == "appsettings")
    held = settings.body.get("properties")
    for literal, line in app.strings:
        for name in _SETTING.findall(literal):
            if not isinstance(held, dict) or name not in held:
                yield Finding(app.path, line, "other-wire", f"there is no app setting {name}")


def _private_names(file: bicep_file.BicepFile) -> Iterator[Finding]:
    """Yield endpoints whose zone is not the one that Azure looks names up in, or that lead astray.

    Names of zones: Microsoft Learn, "Azure Private Endpoint private DNS zone values".
    """
    endpoints = file.variables["endpointsToMake"]
    listed = endpoints.value if isinstance(endpoints.value, list) else []
    targets = {"file": "filesStorageId", "vault": "vaultId"}
    for place in range(len(listed)):
        name = bicep_places.at(file, listed, f"{place}.name")
        zone = (
            "privatelink.vaultcore.azure.net"
            if name == "vault"
            else f"privatelink.{name}.${{environment().suffixes.storage}}"
        )
        for what, wanted in (("zone", zone), ("targetId", targets.get(name, "dataStorageId"))):
            found = bicep_places.at(file, listed, f"{place}.{what}")
            if found != wanted:
                text = f"the endpoint {name} has {what} {found}, not {wanted}"
                yield Finding(file.path, endpoints.line, "other-wire", text)


def _alerts(file: bicep_file.BicepFile) -> Iterator[Finding]:
    """Yield alerts that look at other queues than those that they are about."""
    rules = file.variables["logRules"]
    listed = rules.value if isinstance(rules.value, list) else []
    queries = {
        bicep_places.at(file, listed, f"{place}.name"): bicep_places.at(
            file, listed, f"{place}.query"
        )
        for place in range(len(listed))
    }
    for alert, queues in (
        ("poison-messages", settings.POISON_QUEUES),
        ("batches-stuck", settings.BATCH_QUEUES),
    ):
        looked_at = set(re.findall(r"/\$\{names\.(\w+)\}/", queries.get(alert, "")))
        wanted = {key for key, name in code_agreement.shared_keys().items() if name in queues}
        if looked_at != wanted:
            text = f"{alert} looks at {sorted(looked_at)}, not at {sorted(wanted)}"
            yield Finding(file.path, rules.line, "other-wire", text)
