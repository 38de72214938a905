"""Which calls of the storage SDKs does our code make, and which deployable makes them?

Read from the source, so that `docs/roles.md` cannot fall behind it. What counts is the name of a
method, called or only handed on, whatever the variable is called that it is taken from.
"""

import ast
import functools
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from azure.data.tables import aio as tables
from azure.storage.blob import aio as blobs
from azure.storage.queue import aio as queues

from infra.checks import role_tables
from infra.checks.finding import Finding

_CLIENTS = (
    blobs.BlobClient,
    blobs.BlobServiceClient,
    blobs.ContainerClient,
    queues.QueueClient,
    queues.QueueServiceClient,
    tables.TableClient,
    tables.TableServiceClient,
)
# They only make or close clients.
_NO_CALL = re.compile(r"_.*|close|from_\w+|get_(blob|container|queue|table)_client")
_CARRIES_OUT = re.compile(r"Carries out `ports\.(\w+)`")
_ADAPTERS = "blendrop/adapters"
_DOCTOR = "local/looks.py"
_DEPLOYABLES = {"functions": "functions", "worker": "container_worker", "operator": _DOCTOR}


@functools.cache
def sdk_calls() -> frozenset[str]:
    """Return the name of every call that the storage SDKs' clients can make."""
    return frozenset(
        name
        for client in _CLIENTS
        for name in dir(client)
        if callable(getattr(client, name)) and not _NO_CALL.fullmatch(name)
    )


def broken(repository: Path, page: Path) -> Iterator[Finding]:
    """Yield where the page and the code disagree."""
    said_of = role_tables.read(page)
    made = adapter_calls(repository)
    said = {method: {call for call, _ in calls} for method, calls in said_of.calls.items()}
    for method in sorted(made.keys() | said.keys()):
        if made.get(method) != said.get(method):
            text = f"{method} calls {_list(made.get(method))}, not {_list(said.get(method))}"
            yield Finding(page, 1, "other-call", text)
    for call in sorted(set().union(*said.values()) - said_of.permissions.keys()):
        yield Finding(page, 1, "other-call", f"table 4 says nothing of {call}")
    holders = _holders(repository)
    for who, package in _DEPLOYABLES.items():
        used = _used(_sources(repository, package), set(made), holders)
        used |= {method for method in made if package == _DOCTOR and method.startswith("Doctor.")}
        for method in sorted(used ^ said_of.users.get(who, set())):
            verb = "uses" if method in used else "does not use"
            yield Finding(page, 1, "other-call", f"{who} {verb} {method}")
    yield from _past_the_ports(repository)


def adapter_calls(repository: Path) -> dict[str, set[str]]:
    """Return the SDK calls that each port method ends in, by methods of its class in between.

    The doctor, who has no port, is counted as one whose methods are its functions.
    """
    found: dict[str, set[str]] = {}
    for port, body in _carried_out(repository):
        methods = {
            one.name: one for one in body if isinstance(one, ast.AsyncFunctionDef | ast.FunctionDef)
        }
        for name in methods:
            calls = _reached(name, methods) & sdk_calls()
            if not name.startswith("_") and (calls or port != "Doctor"):
                found[f"{port}.{name}"] = calls
    return found


def _carried_out(repository: Path) -> Iterator[tuple[str, list[ast.stmt]]]:
    for path in sorted((repository / _ADAPTERS).glob("*.py")):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and path.name.startswith("azure_"):
                port = _CARRIES_OUT.search(ast.get_docstring(node) or "")
                if port is not None:
                    yield port[1], node.body
    yield "Doctor", ast.parse((repository / _DOCTOR).read_text()).body


def _past_the_ports(repository: Path) -> Iterator[Finding]:
    """Yield SDK calls that stand where the tables do not look."""
    trees = _trees(repository)
    own = {
        node.name
        for tree in trees.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    telling = {name for name in sdk_calls() - own if "_" in name}
    for path, tree in trees.items():
        if path.parent.name != "inside_blender":  # Blender has names of its own
            for node in _unseen(tree, path):
                for call in sorted(_attributes(node) & telling):
                    text = f"{call} is called where no port is carried out; move it to an adapter"
                    yield Finding(path, getattr(node, "lineno", 1), "other-call", text)


def _unseen(tree: ast.Module, path: Path) -> Iterator[ast.AST]:
    """Yield what of a file `adapter_calls` does not read."""
    for node in tree.body:
        seen = isinstance(node, ast.ClassDef) and _CARRIES_OUT.search(ast.get_docstring(node) or "")
        if not (seen and path.parent.name == "adapters"):
            yield node


def _attributes(node: ast.AST) -> set[str]:
    return {one.attr for one in ast.walk(node) if isinstance(one, ast.Attribute)}


def _reached(name: str, methods: Mapping[str, ast.AST]) -> set[str]:
    """Return every attribute that a method names, or another that it goes on to."""
    attributes, seen, waiting = set[str](), set[str](), {name}
    while waiting:
        method = methods[waiting.pop()]
        attributes |= _attributes(method)
        on = {_name(one) for one in ast.walk(method) if _goes_on(one)} & methods.keys()
        waiting |= on - seen
        seen |= on
    return attributes


def _goes_on(node: ast.AST) -> bool:
    """Tell whether this names a method of the same class, or a function of the same file."""
    return isinstance(node, ast.Name) or (
        isinstance(node, ast.Attribute) and _name(node.value) == "self"
    )


def _used(files: set[Path], methods: set[str], holders: dict[str, set[str]]) -> set[str]:
    """Return the port methods that some files name."""
    named = [
        node
        for path in files
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
    ]
    return {
        method
        for method in methods
        for node in named
        if _means(method, node, holders.get(method.partition(".")[0], set()))
    }


def _means(method: str, node: ast.Attribute, holders: set[str]) -> bool:
    """Tell whether an attribute is a port's method.

    A name of several words can only be that; one like `read` is, of what holds the port.
    """
    name = method.partition(".")[2]
    return node.attr == name and ("_" in name or _name(node.value) in holders)


def _trees(repository: Path) -> dict[Path, ast.Module]:
    return {
        path: ast.parse(path.read_text())
        for package in ("blendrop", "functions", "container_worker")
        for path in sorted((repository / package).rglob("*.py"))
    }


def _holders(repository: Path) -> dict[str, set[str]]:
    """Return what each port is called: where it is annotated, and where it is assigned on."""
    found: dict[str, set[str]] = {}
    trees = _trees(repository).values()
    for tree in trees:
        for node in ast.walk(tree):
            annotation = getattr(node, "annotation", None)
            if isinstance(annotation, ast.Attribute) and _name(annotation.value) == "ports":
                held = (
                    node.arg if isinstance(node, ast.arg) else _name(getattr(node, "target", None))
                )
                found.setdefault(annotation.attr, set()).add(held)
    assigned = [pair for tree in trees for pair in _assigned(tree)]
    for names in found.values():
        before = 0
        while before != len(names):
            before = len(names)
            names |= {to for to, source in assigned if source in names}
    return found


def _assigned(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                    pairs = zip(target.elts, node.value.elts, strict=True)
                    yield from ((_name(to), _name(source)) for to, source in pairs)
                elif isinstance(node.value, ast.Name | ast.Attribute):
                    yield _name(target), _name(node.value)


def _name(node: ast.AST | None) -> str:
    found: str = getattr(node, "attr", getattr(node, "id", ""))
    return found


def _sources(repository: Path, package: str) -> set[Path]:
    """Return a deployable's files and those of the use cases behind them."""
    if package.endswith(".py"):
        return {repository / package}
    found = set((repository / package).rglob("*.py"))
    waiting = list(found)
    while waiting:
        for name in _usecases(waiting.pop()):
            path = repository / "blendrop/usecases" / f"{name}.py"
            if path.is_file() and path not in found:
                found.add(path)
                waiting.append(path)
    return found


def _usecases(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("blendrop.usecases"):
            below = (node.module or "").removeprefix("blendrop.usecases").strip(".")
            yield from [below] if below else [alias.name for alias in node.names]


def _list(calls: set[str] | None) -> str:
    return ", ".join(sorted(calls or ())) or "nothing"
