"""Does everything under `infra` hold? Run as `python -m infra.checks`; prints what does not."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from infra.checks import (
    bicep_azure_rules,
    bicep_folder,
    bicep_language_rules,
    bicep_properties,
    code_agreement,
    code_calls,
    manifests,
    packages,
    role_rules,
    role_tables,
    wiring_rules,
    worker_rules,
)
from infra.checks.finding import Finding

REPOSITORY = Path(__file__).resolve().parents[2]


def all_broken(repository: Path) -> Iterator[Finding]:
    """Yield every broken rule; those that follow from an unreadable template are not looked for."""
    templates = bicep_folder.BicepFolder(repository / "infra/bicep")
    roles = repository / "docs/roles.md"
    language = [
        *bicep_language_rules.broken(templates),
        *bicep_azure_rules.broken(templates),
        *bicep_properties.broken(templates),
    ]
    yield from language
    if not language:
        yield from code_agreement.broken(repository, templates)
        yield from role_rules.broken(roles, templates)
        yield from wiring_rules.broken(templates)
        yield from worker_rules.broken(templates, role_tables.read(roles))
        yield from code_calls.broken(repository, roles)
        yield from manifests.broken(
            repository / "infra/kubernetes", templates, user=code_agreement.image_user(repository)
        )
    yield from packages.broken(repository)


def compiled(repository: Path) -> bool:
    """Ask the compiler and its linter, where they are at hand; True if nothing was said against."""
    az = shutil.which("az")
    if az is None:
        return True
    main = str(repository / "infra/bicep" / bicep_folder.MAIN)
    runs = (["build", "--stdout", "--file", main], ["lint", "--file", main])
    return all(
        subprocess.run([az, "bicep", *run], check=False, stdout=subprocess.DEVNULL).returncode == 0  # noqa: S603 found above
        for run in runs
    )


if __name__ == "__main__":
    findings = sorted(all_broken(REPOSITORY))
    for finding in findings:
        sys.stdout.write(f"{finding}\n")
    sys.exit(1 if findings or not compiled(REPOSITORY) else 0)
