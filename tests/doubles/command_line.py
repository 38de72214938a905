"""The command line, run in this process against a farm of the test's own."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any

from typer import testing

from blendrop.cli import program
from tests.doubles.contract_farm import ContractFarm


@dataclass(frozen=True)
class Said:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def documents(self) -> list[dict[str, Any]]:
        """Its answer, a document a line."""
        return [json.loads(line) for line in self.out.splitlines()]


@dataclass(frozen=True)
class CommandLine:
    """The command line, with a farm to ask."""

    farm: ContractFarm

    async def run(self, *arguments: str, **environment: str) -> Said:
        """Run one command to its end, beside the farm."""
        given = {"BLENDROP_URL": self.farm.url, "BLENDROP_PATIENCE": "5", **environment}
        result = await asyncio.to_thread(
            testing.CliRunner().invoke, program.app, list(arguments), env=given
        )
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Said(result.exit_code, result.stdout, result.stderr)
