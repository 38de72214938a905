"""What is a broken rule?"""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, order=True)
class Finding:
    """One place where a rule does not hold."""

    file: Path
    line: int  # from 1
    rule: str  # the rule's short name, like unknown-api-version
    text: str  # what is wrong there, and what would be right

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.rule}: {self.text}"
