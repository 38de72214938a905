"""Does each part of the templates lead to the part that it must?

Names that exist can still stand in the wrong place: a scaler that watches another queue, an app
that acts as somebody else, a share mounted where nobody looks. What follows from elsewhere (names
of outputs, the roles page) is derived; what everything else leans on stands in `pins.json`.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path

from infra.checks import bicep_azure_rules, bicep_file, bicep_folder, code_agreement, role_tables
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
# By template::resource and property: what stands there, as it is written, and why.
_PINS = Path(__file__).with_name("pins.json")


def broken(folder: bicep_folder.BicepFolder, tables: role_tables.RoleTables) -> Iterator[Finding]:
    """Yield every part that leads elsewhere."""
    yield from _crossed(folder)
    yield from _open_secrets(folder)
    yield from _pins(folder)
    yield from _settings(folder.module("function-app"))
    yield from _scaling(folder, tables)
    yield from _worker(folder.module("worker"))
    yield from _mounts(folder)
    yield from _private_names(folder.module("private-endpoints"))


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
            found = _at(file, resource.body.get("properties"), place)
            if found != pin["is"]:
                text = f"{symbol} has {found} for {place}, not {pin['is']}: {pin['for']}"
                yield Finding(file.path, resource.line, "other-wire", text)


def _at(file: bicep_file.BicepFile, value: bicep_file.Value, place: str) -> str:
    """Return what is written at a place below a value, through variables."""
    for step in place.split("."):
        value = _resolved(file, value)
        if isinstance(value, dict):
            value = value.get(step)
        elif isinstance(value, list) and step.isdecimal() and int(step) < len(value):
            value = value[int(step)]
        else:
            return "nothing"
    return _written(value)


def _written(value: bicep_file.Value) -> str:
    text = value.text if isinstance(value, bicep_file.Expression) else str(value)
    return text.strip("'")


def _resolved(file: bicep_file.BicepFile, value: bicep_file.Value) -> bicep_file.Value:
    """Return what a variable holds, with unions of objects made one."""
    if not isinstance(value, bicep_file.Expression):
        return value
    if value.text in file.variables:
        return _resolved(file, file.variables[value.text].value)
    if value.text.startswith("union("):
        parts = [_resolved(file, part) for part in bicep_file.alternatives(value)]
        return {
            key: inner for part in parts if isinstance(part, dict) for key, inner in part.items()
        }
    return value


def _settings(app: bicep_file.BicepFile) -> Iterator[Finding]:
    """Yield references to app settings that there are not."""
    (settings,) = (one for one in app.resources if one.body.get("name") == "appsettings")
    held = settings.body.get("properties")
    for literal, line in app.strings:
        for name in _SETTING.findall(literal):
            if not isinstance(held, dict) or name not in held:
                yield Finding(app.path, line, "other-wire", f"there is no app setting {name}")


def _scaling(folder: bicep_folder.BicepFolder, tables: role_tables.RoleTables) -> Iterator[Finding]:
    """Yield where workers are not scaled by the very queues that they receive from."""
    file = folder.module("worker")
    queues = {
        one.symbol: _written(one.body.get("name")) for one in folder.module("access").resources
    }
    wanted = {queues[on] for _, on in tables.calls["BatchQueue.receive"]}
    for symbol, place, below in (
        ("workerApp", "template.scale.rules", "custom."),
        ("workerJob", "configuration.eventTriggerConfig.scale.rules", ""),
    ):
        (worker,) = (one for one in file.resources if one.symbol == symbol)
        properties = worker.body.get("properties")
        rules = range(len(wanted))
        said = {
            what: {_at(file, properties, f"{place}.{rule}.{below}{what}") for rule in rules}
            for what in (
                *("type", "identity"),
                *("metadata.queueName", "metadata.queueLengthStrategy", "metadata.accountName"),
            )
        }
        for what, must in {
            "type": {"azure-queue"},
            "identity": {"platformIdentityId"},
            "metadata.queueName": wanted,
            "metadata.queueLengthStrategy": {"all"},
            "metadata.accountName": {"dataStorageName"},
        }.items():
            if said[what] != must:
                text = f"{symbol} is scaled by {what} {sorted(said[what])}, not {sorted(must)}"
                yield Finding(file.path, worker.line, "other-wire", text)


def _worker(file: bicep_file.BicepFile) -> Iterator[Finding]:
    probes = file.variables["probes"]
    listed = probes.value if isinstance(probes.value, list) else []
    for place in range(len(listed)):
        port = _at(file, listed, f"{place}.httpGet.port")
        if port != "statusPort":
            text = f"a probe asks port {port}, and workers answer on statusPort"
            yield Finding(file.path, probes.line, "other-port", text)


def _mounts(folder: bicep_folder.BicepFolder) -> Iterator[Finding]:
    """Yield the folders that a program is told of and finds nothing mounted at."""
    app, worker = folder.module("function-app"), folder.module("worker")
    functions, env = (
        code_agreement.function_variables(folder),
        code_agreement.worker_variables(folder),
    )
    (mounts,) = (one for one in app.resources if one.symbol == "mounts")
    containers = worker.variables["containers"].value
    volumes = {
        _at(worker, containers, f"0.volumeMounts.{place}.volumeName"): _at(
            worker, containers, f"0.volumeMounts.{place}.mountPath"
        )
        for place in range(2)
    }
    for file, told, mounted in (
        (
            app,
            functions.get("BLENDROP_FRAME_SHARE"),
            _at(app, mounts.body.get("properties"), "frames.mountPath"),
        ),
        (worker, env.get("BLENDROP_FRAME_SHARE"), volumes.get("frames", "")),
        (worker, env.get("BLENDROP_SCRATCH"), volumes.get("scratch", "")),
    ):
        if _written(told) != mounted:
            text = f"the program looks at {_written(told)}, and what it wants is at {mounted}"
            yield Finding(file.path, 1, "other-wire", text)


def _private_names(file: bicep_file.BicepFile) -> Iterator[Finding]:
    """Yield endpoints whose zone is not the one that Azure looks names up in, or that lead astray.

    Names of zones: Microsoft Learn, "Azure Private Endpoint private DNS zone values".
    """
    endpoints = file.variables["endpointsToMake"]
    listed = endpoints.value if isinstance(endpoints.value, list) else []
    targets = {"file": "filesStorageId", "vault": "vaultId"}
    for place in range(len(listed)):
        name = _at(file, listed, f"{place}.name")
        zone = (
            "privatelink.vaultcore.azure.net"
            if name == "vault"
            else f"privatelink.{name}.${{environment().suffixes.storage}}"
        )
        for what, wanted in (("zone", zone), ("targetId", targets.get(name, "dataStorageId"))):
            found = _at(file, listed, f"{place}.{what}")
            if found != wanted:
                text = f"the endpoint {name} has {what} {found}, not {wanted}"
                yield Finding(file.path, endpoints.line, "other-wire", text)
