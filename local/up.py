"""How is the farm kept running on this machine, for work and for trying things out?"""

import asyncio
import os
import shutil
import sys
from pathlib import Path

from blendrop import settings
from local import azurite, blenders, farm, foreground

_ROOT = Path(__file__).resolve().parents[1]
_FOLDER = _ROOT / ".farm" / "up"
# What else the environment says of telemetry counts here, too.
_HANDED_ON = ("BLENDROP", "OTEL_", "APPLICATIONINSIGHTS_")
_HTTP_PORT = 7071  # what Core Tools use


async def main() -> int:
    """Run until Ctrl-C; what is stored stays for the next time."""
    plan = farm.Plan(
        folder=_FOLDER,
        share=_ROOT / "frames",
        blenders=blenders.ensure(os.environ),
        workers=int(os.environ.get("WORKERS", "2")),
        http_port=_HTTP_PORT,
        storage_ports=azurite.STANDARD_PORTS,
        keep_storage=True,
        core_tools=True,
        settings={name: value for name, value in os.environ.items() if name.startswith(_HANDED_ON)},
    )
    host = "Core Tools" if shutil.which("func") else "the small host in local/"
    print(
        f"starting storage emulator, function app ({host}) and {plan.workers} workers", flush=True
    )
    async with farm.running(plan) as running:
        addresses = running.status_addresses.values()
        workers = "\n             ".join(f"{one}/status" for one in addresses)
        print(
            f"""
submit by    .venv/bin/blendrop submit shot.blend --watch
upload to    the blob container {settings.SCENES_CONTAINER} of the storage emulator, by Storage
             Explorer ("Local storage emulator") or with the Azure CLI:
             az storage blob upload --connection-string UseDevelopmentStorage=true \\
                 --container-name {settings.SCENES_CONTAINER} --file shot.blend
frames in    {plan.share}/<job id>
look at      {running.client.http}/api/jobs/<job id>
             {running.client.http}/api/farm and /api/workers
workers      {workers} (/healthz, /readyz, /metrics)
logs in      {plan.folder}
Blenders     {", ".join(plan.blenders)}

Ctrl-C ends it.""",
            flush=True,
        )
        await running.beside(asyncio.Event().wait())
    return 0


if __name__ == "__main__":
    sys.exit(foreground.run(main()))
