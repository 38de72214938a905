"""Which templates are there, and what data do they load?"""

import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.checks import bicep_file

# The variables by which every template calls the loaded data.
DATA_FILES = {
    "names": "names.json",
    "roles": "roles.json",
    "abbreviations": "abbreviations.json",
}
MAIN = "main.bicep"


@dataclass(frozen=True)
class BicepFolder:
    """The folder of `main.bicep`."""

    root: Path

    @functools.cached_property
    def files(self) -> dict[Path, bicep_file.BicepFile]:
        """Every template by its path."""
        return {path: bicep_file.read(path) for path in sorted(self.root.rglob("*.bicep"))}

    @property
    def main(self) -> bicep_file.BicepFile:
        """The template that a deployment starts from."""
        return self.files[self.root / MAIN]

    def module(self, name: str) -> bicep_file.BicepFile:
        """Return the template `modules/<name>.bicep`."""
        return self.files[self.root / "modules" / f"{name}.bicep"]

    def data(self, variable: str) -> dict[str, str]:
        """Return what the file behind `names`, `roles` or `abbreviations` holds."""
        held: dict[str, str] = json.loads((self.root / DATA_FILES[variable]).read_text())
        return held

    @property
    def parameter_files(self) -> dict[Path, dict[str, Any]]:
        """The values that each parameter file gives."""
        return {
            path: {
                name: given.get("value")
                for name, given in json.loads(path.read_text())["parameters"].items()
            }
            for path in sorted(self.root.glob("*.parameters.json"))
        }
