"""What works on a farm, and what does not? One page, for the engineer woken at night.

It looks as whoever runs it: at the farm of `make up` with nothing given, at one in Azure with the
identity of `az login`, which needs the data roles that docs/roles.md lists for the operator.
"""

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import rich.console
import rich.table
from azure.core import exceptions

from blendrop import errors, settings
from blendrop.adapters.azure_clients import Clients
from local import assigned_roles, foreground, looks

_LOCAL_URL = "http://127.0.0.1:7071"
_LOCAL_SHARE = Path(__file__).resolve().parents[1] / "frames"
_DEVELOPMENT = "UseDevelopmentStorage=true"
_ROLES = "Create what is missing with infra/bicep, and give yourself the roles of docs/roles.md"


@dataclass(frozen=True)
class Finding:
    """What one look found."""

    part: str
    well: bool
    said: str
    remedy: str = ""


async def examine(patient: looks.Patient, parts: Sequence[tuple[str, looks.Look]]) -> list[Finding]:
    """Take every look, whatever the others find."""
    return [await _finding(patient, part, look) for part, look in parts]


async def _finding(patient: looks.Patient, part: str, look: looks.Look) -> Finding:
    try:
        return Finding(part, well=True, said=await look(patient))
    except (
        errors.BlendropError,
        exceptions.AzureError,
        aiohttp.ClientError,
        TimeoutError,
    ) as failed:
        said, remedy = _explained(failed)
        return Finding(part, well=False, said=said, remedy=remedy)


def _explained(failed: Exception) -> tuple[str, str]:
    """Return what a look failed of, and what to do."""
    if isinstance(failed, looks.UnwellError):
        return str(failed), failed.remedy
    if isinstance(failed, errors.BlendropError):
        return str(failed), _ROLES
    if isinstance(failed, exceptions.ResourceNotFoundError):
        return "there is no such thing", _ROLES
    if isinstance(failed, exceptions.ClientAuthenticationError):
        return " ".join(failed.message.split())[:200], "Run az login"
    if isinstance(failed, exceptions.HttpResponseError):
        return f"the storage answered {failed.status_code} {failed.reason}", _ROLES
    return f"no answer ({type(failed).__name__})", "Is it running, and reachable from here?"


async def main() -> int:
    """Print what was found; return 0 if all is well."""
    parser = argparse.ArgumentParser(prog="make doctor", description=__doc__)
    parser.add_argument("--account", default="", help="the data storage account's name")
    parser.add_argument("--url", default="", help="of the function app")
    parser.add_argument("--share", type=Path, help="where the frame share is mounted here")
    parser.add_argument("--upload", action="store_true", help="try the event path as well")
    chosen = parser.parse_args()
    given = os.environ.get(settings.STORAGE_CONNECTION, "")
    account = chosen.account
    if account and not chosen.url:
        raise errors.UnavailableError("with ACCOUNT goes the function app's URL=https://…, too")
    clients = Clients(
        connection_string="" if account else given or _DEVELOPMENT,
        blob_address=f"https://{account}.blob.core.windows.net",
        queue_address=f"https://{account}.queue.core.windows.net",
        table_address=f"https://{account}.table.core.windows.net",
    )
    patient = looks.Patient(
        clients=clients,
        url=(chosen.url or _LOCAL_URL).rstrip("/"),
        share=chosen.share or (None if account else _LOCAL_SHARE),
        function_key=os.environ.get("BLENDROP_FUNCTION_KEY", ""),
        account=account,
    )
    if not urlsplit(patient.url).hostname:
        raise errors.UnavailableError(f"{patient.url!r} is no address; give URL=https://…")
    try:
        findings = await examine(patient, tuple(_parts(chosen)))
    finally:
        await clients.close()
    _print(findings)
    return int(any(not finding.well for finding in findings))


def _parts(chosen: argparse.Namespace) -> Iterator[tuple[str, looks.Look]]:
    if chosen.account:
        yield "identities and roles", assigned_roles.look
    yield from looks.LOOKS
    if chosen.upload:
        yield "event path", looks.event_path


def _print(findings: Sequence[Finding]) -> None:
    table = rich.table.Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for finding in findings:
        table.add_row("ok" if finding.well else "BAD", finding.part, finding.said)
        if finding.remedy:
            table.add_row("", "", f"-> {finding.remedy}")
    rich.console.Console(width=110).print(table, highlight=False)


if __name__ == "__main__":
    sys.exit(foreground.run(main()))
