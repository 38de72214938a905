"""Do templates, image and code call the same things by the same names?

The code's names stand in `blendrop/settings.py`; the templates' in `infra/bicep/names.json`. Here
they are held against each other, with `host.json`, `local.settings.example.json` and the image.
"""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pydantic

from blendrop import settings
from infra.checks import bicep_file, bicep_folder
from infra.checks.finding import Finding

_PREFIX = "BLENDROP_"
# What only the host's own extensions read of a connection (Microsoft Learn, "Connecting to host
# storage with an identity").
_HOST_ONLY = {f"{settings.STORAGE_CONNECTION}__credential"}
# Where spans and metrics go in Azure, and as whom: the exporter reads the second by itself.
_TELEMETRY = {
    "APPLICATIONINSIGHTS_AUTHENTICATION_STRING",
    "APPLICATIONINSIGHTS_CONNECTION_STRING",
}
_KINDS = ("Container", "Queue", "Table")
# What the platform alone reads and writes.
_PLATFORM_NAMES = {"packagesContainer": "function-packages"}
_IMAGE_ENV = re.compile(r"^ENV (?:.*\\\n)*.*", re.MULTILINE)
_IMAGE_VARIABLE = re.compile(r"\b(BLENDROP_[A-Z_]+)=")
_PROBE = re.compile(r"/\w+z\b(?=['\\\"])")
_USER = re.compile(r"^USER (\d+):\1$", re.MULTILINE)
_EVENT = re.compile(r"Said\.event\) (?:==|in) \(?([\"'\w, ]+)")
_WORD = re.compile(r"[\"'](\w+)[\"']")


def broken(repository: Path, folder: bicep_folder.BicepFolder) -> Iterator[Finding]:
    """Yield every name that two places disagree on."""
    yield from _names(folder)
    yield from _names_again(repository)
    yield from _variables(repository, folder)
    yield from _events(repository, folder)
    yield from _status_port(repository, folder)
    yield from _python(repository, folder)
    yield from _user(repository, folder)
    yield from _encoding(repository)


def _names(folder: bicep_folder.BicepFolder) -> Iterator[Finding]:
    path = folder.root / bicep_folder.DATA_FILES["names"]
    held = folder.data("names")
    wanted = shared_keys() | _PLATFORM_NAMES
    for key, name in wanted.items():
        if held.get(key) != name:
            text = f"{key} is {held.get(key)!r}, and settings.py says {name!r}"
            yield Finding(path, 1, "other-name", text)
    made = folder.module("data-storage")
    for key in held:
        if not key.endswith(_KINDS):
            continue
        if key not in wanted:
            text = f"{key} is in no code: settings.py has no {_constant(key)}"
            yield Finding(path, 1, "other-name", text)
        if ("names", key) not in {(holder, name) for holder, name, _ in made.members}:
            yield Finding(made.path, 1, "not-made", f"names.{key} is created nowhere")


def _names_again(repository: Path) -> Iterator[Finding]:
    """Yield where code writes such a name out, which settings.py holds."""
    names = {name for name in shared_names().values() if "-" in name}
    for package in ("blendrop", "functions", "container_worker", "local"):
        for path in sorted((repository / package).rglob("*.py")):
            code = path.read_text()
            if path.name != "settings.py" and any(name in code for name in names):
                for node in ast.walk(ast.parse(code)):
                    if isinstance(node, ast.Constant) and node.value in names:
                        text = f"{node.value} is written out: it stands in settings.py"
                        yield Finding(path, node.lineno, "name-again", text)


def shared_names() -> dict[str, str]:
    """Return every container, queue and table that settings.py names, by its constant."""
    kinds = tuple(f"_{kind.upper()}" for kind in _KINDS)
    return {name: value for name, value in vars(settings).items() if name.endswith(kinds)}


def shared_keys() -> dict[str, str]:
    """Return the same, by what names.json calls each."""
    return {_key(constant): name for constant, name in shared_names().items()}


def _key(constant: str) -> str:
    """Return what names.json calls a constant: uploadsQueue for UPLOADS_QUEUE."""
    first, *others = constant.lower().split("_")
    return first + "".join(word.capitalize() for word in others)


def _constant(key: str) -> str:
    return re.sub(r"(?=[A-Z])", "_", key).upper()


def function_variables(folder: bicep_folder.BicepFolder) -> dict[str, bicep_file.Value]:
    """Return the app settings of the function app."""
    for resource in folder.module("function-app").resources:
        properties = resource.body.get("properties")
        if resource.body.get("name") == "appsettings" and isinstance(properties, dict):
            return properties
    return {}


def worker_variables(folder: bicep_folder.BicepFolder) -> dict[str, bicep_file.Value]:
    """Return the environment of the worker's container, without what its image sets."""
    containers = folder.module("worker").variables["containers"].value
    first = containers[0] if isinstance(containers, list) else {}
    given = first.get("env") if isinstance(first, dict) else []
    return {
        str(one["name"]): one.get("value")
        for one in (given if isinstance(given, list) else [])
        if isinstance(one, dict)
    }


def image_variables(repository: Path) -> set[str]:
    """Return the variables of ours that the worker's image sets."""
    dockerfile = (repository / "container_worker/Dockerfile").read_text()
    return {name for env in _IMAGE_ENV.findall(dockerfile) for name in _IMAGE_VARIABLE.findall(env)}


def _variables(repository: Path, folder: bicep_folder.BicepFolder) -> Iterator[Finding]:
    example = json.loads((repository / "local.settings.example.json").read_text())
    functions = set(function_variables(folder))
    worker = {*worker_variables(folder), *image_variables(repository)}
    sides = (
        ("function-app", functions, settings.FunctionSettings, "Values"),
        ("worker", worker, settings.WorkerSettings, "WorkerValues"),
    )
    for module, given, kind, section in sides:
        path = folder.module(module).path
        for text in disagreements(given, kind):
            yield Finding(path, 1, "other-variable", text)
        for name in sorted(_TELEMETRY - given):
            text = f"{name} is not given: no span or metric would leave it"
            yield Finding(path, 1, "other-variable", text)
        shown = set(example[section])
        for name in sorted(_ours(given) - shown):
            if name.partition("__")[0] not in shown:
                text = f"{name} is not explained in local.settings.example.json"
                yield Finding(path, 1, "other-variable", text)


def disagreements(given: set[str], kind: type[settings.Settings]) -> Iterator[str]:
    """Yield why a set of variables does not suit a kind of settings."""
    known = _aliases(kind) | _aliases(settings.StorageConnection)
    for name in sorted(_ours(given) - known - _HOST_ONLY):
        yield f"{name} is read by nothing in {kind.__name__}"
    required = {
        field.alias or name
        for name, field in kind.model_fields.items()
        if field.is_required() and name != "storage"
    }
    for name in sorted(required - given):
        yield f"{name} is needed by {kind.__name__}"
    services = {f"{settings.STORAGE_CONNECTION}__{one}ServiceUri" for one in _SERVICES}
    if not services <= given:
        yield f"the connection needs {', '.join(sorted(services - given))}"


_SERVICES = ("blob", "queue", "table")


def _aliases(model: type[pydantic.BaseModel]) -> set[str]:
    return {field.alias for field in model.model_fields.values() if field.alias}


def _ours(names: set[str]) -> set[str]:
    return {name for name in names if name.startswith(_PREFIX)}


def _events(repository: Path, folder: bicep_folder.BicepFolder) -> Iterator[Finding]:
    """Yield the events that queries look for and no code says."""
    said = "\n".join(
        path.read_text()
        for package in ("blendrop", "functions", "container_worker")
        for path in sorted((repository / package).rglob("*.py"))
    )
    looked_for = {
        (path, event)
        for path in (folder.root / "workbook.json", folder.module("alerts").path)
        for events in _EVENT.findall(path.read_text())
        for event in _WORD.findall(events)
    }
    for path, event in sorted(looked_for):
        if f'"{event}"' not in said:
            yield Finding(path, 1, "other-event", f"no code logs {event}")


def status_port(folder: bicep_folder.BicepFolder) -> str:
    """Return the port that the templates' probes of a worker ask."""
    return str(folder.module("worker").variables["statusPort"].value)


def _status_port(repository: Path, folder: bicep_folder.BicepFolder) -> Iterator[Finding]:
    """Yield where the image opens another port than the probes ask, or nobody answers them."""
    port = status_port(folder)
    image = repository / "container_worker/Dockerfile"
    opened = image.read_text()
    for line in (f"BLENDROP_STATUS_PORT={port} ", f"EXPOSE {port}\n"):
        if line not in opened:
            yield Finding(image, 1, "other-port", f"the probes ask for {line.strip()}")
    said = (repository / "container_worker/status_server.py").read_text()
    for path in (folder.module("worker").path, image):
        for route in sorted(set(_PROBE.findall(path.read_text()))):
            if f'"{route}"' not in said:
                yield Finding(path, 1, "other-port", f"a worker does not answer {route}")


def _python(repository: Path, folder: bicep_folder.BicepFolder) -> Iterator[Finding]:
    version = "3.11"
    declared = (repository / "pyproject.toml").read_text()
    if f'requires-python = ">={version},' not in declared:
        yield Finding(repository / "pyproject.toml", 1, "other-python", f"Azure runs {version}")
    app = folder.module("function-app")
    if f"version: '{version}'" not in app.path.read_text():
        yield Finding(app.path, 1, "other-python", f"the code is written for {version}")
    image = repository / "container_worker/Dockerfile"
    if f"FROM python:{version}" not in image.read_text():
        yield Finding(image, 1, "other-python", f"the code is written for {version}")


def image_user(repository: Path) -> str:
    """Return the number of the user, and of the group, that the image runs workers as."""
    found = _USER.search((repository / "container_worker/Dockerfile").read_text())
    return found[1] if found else "nobody"


def _user(repository: Path, folder: bicep_folder.BicepFolder) -> Iterator[Finding]:
    """Yield where the share is mounted for another user than the image's."""
    user, worker = image_user(repository), folder.module("worker")
    wanted = f"uid={user},gid={user},"
    if not any(literal.startswith(wanted) for literal, _ in worker.strings):
        yield Finding(worker.path, 1, "other-user", f"the image's user needs {wanted} to write")


def _encoding(repository: Path) -> Iterator[Finding]:
    """Yield where the host would take our messages, which are plain text, for something else."""
    host = repository / "host.json"
    said = json.loads(host.read_text())["extensions"]["queues"].get("messageEncoding", "base64")
    if said != "none":
        text = f"messageEncoding is {said}, and what our code sends is plain text: say none"
        yield Finding(host, 1, "other-encoding", text)
