"""Which calls of the storage SDKs does our code make, and which deployable makes them?

Read from the source, so that `docs/roles.md` cannot fall behind it.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

from infra.checks import role_tables
from infra.checks.finding import Finding

# Adapters by the port that they carry out, and what fields of that kind are called.
_PORTS = {
    "SceneStore": ("azure_scenes.py", {"scenes", "_store", "store"}),
    "BatchQueue": ("azure_batch_queue.py", {"queue", "_queue"}),
    "AnnouncementQueue": ("azure_announcement_queue.py", {"announcements"}),
    "JobTable": ("azure_job_table.py", {"jobs", "_jobs", "table"}),
    "RateCounters": ("azure_rate_counters.py", {"counters", "_counters"}),
    "WorkerTable": ("azure_worker_table.py", {"workers", "_table"}),
}
_DEPLOYABLES = {"functions": "functions", "worker": "container_worker"}


def broken(repository: Path, page: Path) -> Iterator[Finding]:
    """Yield where the page and the code disagree."""
    tables = role_tables.read(page)
    made = adapter_calls(repository, set(tables.permissions))
    said = {method: {call for call, _ in calls} for method, calls in tables.calls.items()}
    for method in sorted(made.keys() | said.keys()):
        if made.get(method) != said.get(method):
            text = f"{method} calls {_list(made.get(method))}, not {_list(said.get(method))}"
            yield Finding(page, 1, "other-call", text)
    for who, package in _DEPLOYABLES.items():
        used = methods_used(repository, package, set(made))
        for method in sorted(used ^ tables.users.get(who, set())):
            verb = "uses" if method in used else "does not use"
            yield Finding(page, 1, "other-call", f"{who} {verb} {method}")


def adapter_calls(repository: Path, known: set[str]) -> dict[str, set[str]]:
    """Return the SDK calls that each port method ends in, by methods of its class in between."""
    found: dict[str, set[str]] = {}
    for port, (file, _) in _PORTS.items():
        tree = ast.parse((repository / "blendrop/adapters" / file).read_text())
        for node in tree.body:
            if isinstance(node, ast.ClassDef):
                methods = {
                    one.name: _called(one)
                    for one in node.body
                    if isinstance(one, ast.AsyncFunctionDef | ast.FunctionDef)
                }
                for name in methods:
                    if not name.startswith("_"):
                        calls = _reached(name, methods) & known
                        found[f"{port}.{name}"] = calls
    return found


def _called(function: ast.AST) -> set[str]:
    return {
        node.func.attr
        for node in ast.walk(function)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }


def _reached(name: str, methods: dict[str, set[str]]) -> set[str]:
    reached, waiting = set[str](), [name]
    while waiting:
        for call in methods[waiting.pop()] - reached:
            reached.add(call)
            if call in methods:
                waiting.append(call)
    return reached


def methods_used(repository: Path, package: str, methods: set[str]) -> set[str]:
    """Return the port methods that a deployable calls, by the use cases that it imports."""
    used = set()
    for path in _sources(repository, package):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                holder = node.func.value
                name = getattr(holder, "attr", getattr(holder, "id", ""))
                for port, (_, fields) in _PORTS.items():
                    if name in fields and f"{port}.{node.func.attr}" in methods:
                        used.add(f"{port}.{node.func.attr}")
    return used


def _sources(repository: Path, package: str) -> set[Path]:
    """Return a deployable's files and those of the use cases behind them."""
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
