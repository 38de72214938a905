"""What does `docs/roles.md` say?"""

import re
from dataclasses import dataclass
from pathlib import Path

_CODE = re.compile(r"`([^`]+)`")
_CALL_ON = re.compile(r"`(\w+)` on (\w+)")


@dataclass(frozen=True)
class Need:
    """One permission, out of alternatives, that somebody needs on something."""

    who: str
    on: str  # the last part of a resource's path in the templates, like batches
    any_of: frozenset[str]
    reason: str


@dataclass(frozen=True)
class RoleTables:
    """The page's five tables."""

    calls: dict[str, set[tuple[str, str]]]  # port method → call, on
    users: dict[str, set[str]]  # who → port methods
    others: list[Need]
    permissions: dict[str, frozenset[str]]  # call → alternatives
    roles: dict[str, tuple[str, frozenset[str]]]  # role → id, permissions

    @property
    def needs(self) -> list[Need]:
        """Everything that anybody needs."""
        ours = [
            Need(who, on, self.permissions[call], f"{call} of {method}")
            for who, methods in self.users.items()
            for method in sorted(methods)
            for call, on in sorted(self.calls[method])
        ]
        return [*ours, *self.others]


def read(page: Path) -> RoleTables:
    """Read the page.

    Raises:
        ValueError: a table is not there.
    """
    text = page.read_text()
    return RoleTables(
        calls={_name(method): set(_CALL_ON.findall(calls)) for method, calls in _rows(text, "1.")},
        users={_name(who): set(_CODE.findall(methods)) for who, methods in _rows(text, "2.")},
        others=[
            Need(_name(who), on, frozenset({permission}), reason)
            for who, reason, permissions, on in _rows(text, "3.")
            for permission in permissions.split(", ")
        ],
        permissions={
            _name(call): frozenset(permission.split(" or "))
            for call, permission in _rows(text, "4.")
        },
        roles={
            _name(role): (identifier, frozenset(allows.split(", ")))
            for role, _, identifier, allows in _rows(text, "5.")
        },
    )


def _rows(text: str, section: str) -> list[list[str]]:
    found = re.search(rf"^## {re.escape(section)}.*?(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    if found is None:
        raise ValueError(f"docs/roles.md has no section {section}")
    lines = [line for line in found.group().splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def _name(cell: str) -> str:
    return cell.strip("`")
