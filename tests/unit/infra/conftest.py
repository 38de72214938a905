"""What the tests of `infra` start from."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[3]
# What the checks read, beside the templates themselves.
READ = (
    "blendrop",
    "container_worker",
    "docs/roles.md",
    "functions",
    "host.json",
    "infra",
    "local",
    "local.settings.example.json",
    "pyproject.toml",
)
Plant = Callable[[str, str, str], None]


@pytest.fixture(scope="session")
def repository() -> Path:
    """The repository as it stands."""
    return REPOSITORY


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A copy of what the checks read, to spoil."""
    root = tmp_path.resolve() / "repository"
    for name in READ:
        source, target = REPOSITORY / name, root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(
                source, target, ignore=shutil.ignore_patterns("__pycache__", "node_modules")
            )
        else:
            shutil.copy(source, target)
    return root


@pytest.fixture
def plant(copied: Path) -> Plant:
    """Put a fault into a copied file, in place of a text that stands there once or more."""

    def planted(file: str, old: str, new: str) -> None:
        path = copied / file
        text = path.read_text()
        assert old in text, f"{file} no longer holds {old!r}: plant the fault elsewhere"
        path.write_text(text.replace(old, new, 1))

    return planted


@pytest.fixture
def copied_whole(copied: Path) -> Path:
    """A copy of what the packages are made from as well."""
    for name in (
        ".dockerignore",
        ".funcignore",
        "function_app.py",
        "requirements.txt",
    ):
        shutil.copy(REPOSITORY / name, copied / name)
    return copied
