"""Would the compiler take the templates?

The part of its work that can be done on the tree: every file reads, every name is declared and
used, modules exist and are given what they declare, loaded data holds what is asked of it.
"""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from infra.checks import bicep_file, bicep_folder, known_azure
from infra.checks.finding import Finding

# What a command line gives, and a parameter file of the repository cannot; azd fills its own file.
_GIVEN_AT_DEPLOYMENT = {"environmentName", "location"}
_AZD = "main.parameters.json"
_MODULE_OUTPUT = re.compile(r"\b(\w+)!?\.outputs\.(\w+)")


def broken(folder: bicep_folder.BicepFolder) -> Iterator[Finding]:
    """Yield every place where a template would not compile, or says less than it should."""
    for file in folder.files.values():
        for line in file.unread_lines:
            yield Finding(file.path, line, "unreadable", "this is not Bicep")
        yield from _undeclared(file)
        yield from _unused(file)
        yield from _undescribed(file)
        yield from _modules(file, folder)
        yield from _missing_data(file, folder)
    yield from _unreached(folder)
    for path, values in folder.parameter_files.items():
        yield from _parameter_file(path, values, folder.main)


def _undeclared(file: bicep_file.BicepFile) -> Iterator[Finding]:
    declared = {
        *file.parameters,
        *file.variables,
        *file.outputs,
        *file.types,
        *file.local_names,
        *(resource.symbol for resource in file.resources),
        *(module.symbol for module in file.modules),
        *known_azure.FUNCTIONS,
        *known_azure.DECORATORS,
    }
    for name, line in file.names:
        if name not in declared:
            yield Finding(file.path, line, "undeclared", f"{name} is declared nowhere")


def _unused(file: bicep_file.BicepFile) -> Iterator[Finding]:
    uses = Counter(name for name, _ in file.names)
    for kind in (file.parameters, file.variables):
        for name, declared in kind.items():
            if uses[name] < 2:  # its declaration is the first
                yield Finding(file.path, declared.line, "unused", f"nothing reads {name}")


def _undescribed(file: bicep_file.BicepFile) -> Iterator[Finding]:
    for parameter in file.parameters.values():
        if not parameter.decorators.get("description"):
            text = f"say with @description what {parameter.name} is for"
            yield Finding(file.path, parameter.line, "undescribed", text)


def _modules(file: bicep_file.BicepFile, folder: bicep_folder.BicepFolder) -> Iterator[Finding]:
    sources: dict[str, bicep_file.BicepFile] = {}
    for module in file.modules:
        if ":" in module.source:
            text = f"{module.source} comes from a registry, which cannot be restored offline"
            yield Finding(file.path, module.line, "registry-module", text)
            continue
        source = folder.files.get((file.path.parent / module.source).resolve())
        if source is None:
            text = f"there is no {module.source}"
            yield Finding(file.path, module.line, "missing-module", text)
            continue
        sources[module.symbol] = source
        yield from _arguments(file, module, source)
    yield from _module_outputs(file, sources)


def _arguments(
    file: bicep_file.BicepFile, module: bicep_file.Module, source: bicep_file.BicepFile
) -> Iterator[Finding]:
    given = module.body.get("params")
    names = set(given) if isinstance(given, dict) else set()
    for name in sorted(names - set(source.parameters)):
        text = f"{module.source} has no parameter {name}"
        yield Finding(file.path, module.line, "unknown-parameter", text)
    required = {name for name, parameter in source.parameters.items() if parameter.required}
    for name in sorted(required - names):
        text = f"{module.source} needs the parameter {name}"
        yield Finding(file.path, module.line, "missing-parameter", text)


def _module_outputs(
    file: bicep_file.BicepFile, sources: dict[str, bicep_file.BicepFile]
) -> Iterator[Finding]:
    for line, text in enumerate(file.path.read_text().splitlines(), start=1):
        for symbol, output in _MODULE_OUTPUT.findall(text):
            if symbol in sources and output not in sources[symbol].outputs:
                reason = f"{sources[symbol].path.name} has no output {output}"
                yield Finding(file.path, line, "unknown-output", reason)


def _missing_data(
    file: bicep_file.BicepFile, folder: bicep_folder.BicepFolder
) -> Iterator[Finding]:
    for variable, name, line in file.members:
        if variable in bicep_folder.DATA_FILES and name not in folder.data(variable):
            text = f"{bicep_folder.DATA_FILES[variable]} has no {name}"
            yield Finding(file.path, line, "missing-data", text)


def _unreached(folder: bicep_folder.BicepFolder) -> Iterator[Finding]:
    used = {
        (file.path.parent / module.source).resolve()
        for file in folder.files.values()
        for module in file.modules
    }
    for path in folder.files:
        if path != folder.main.path and path not in used:
            yield Finding(path, 1, "unused", "no template uses this one")


def _parameter_file(
    path: Path, values: dict[str, Any], main: bicep_file.BicepFile
) -> Iterator[Finding]:
    for name in sorted(set(values) - set(main.parameters)):
        yield Finding(path, 1, "unknown-parameter", f"{main.path.name} has no parameter {name}")
    required = {name for name, parameter in main.parameters.items() if parameter.required}
    elsewhere = _GIVEN_AT_DEPLOYMENT if path.name != _AZD else set()
    for name in sorted(required - set(values) - elsewhere):
        yield Finding(path, 1, "missing-parameter", f"{main.path.name} needs {name}")
    for name, value in values.items():
        if name in main.parameters and not _azd_fills(value):
            yield from _value(path, main.parameters[name], value)


def _value(path: Path, parameter: bicep_file.Parameter, value: object) -> Iterator[Finding]:
    allowed = parameter.decorators.get("allowed")
    if isinstance(allowed, list) and value not in allowed:
        yield Finding(path, 1, "wrong-value", f"{parameter.name} may not be {value!r}")
    kind = {"string": str, "int": int, "bool": bool, "object": dict}.get(parameter.type, list)
    if not isinstance(value, kind):
        yield Finding(path, 1, "wrong-value", f"{parameter.name} is of type {parameter.type}")
        return
    least, most = parameter.decorators.get("minValue"), parameter.decorators.get("maxValue")
    if isinstance(value, int) and (
        (isinstance(least, int) and value < least) or (isinstance(most, int) and value > most)
    ):
        text = f"{parameter.name} is {value}, outside of {least} to {most}"
        yield Finding(path, 1, "wrong-value", text)


def _azd_fills(value: object) -> bool:
    return isinstance(value, str) and value.startswith("${")
