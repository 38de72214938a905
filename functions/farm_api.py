"""Which requests about the farm itself are answered, and with what?"""

import fastapi

from blendrop.usecases import farm
from functions import world

router = fastapi.APIRouter(tags=["farm"])


@router.get("/workers")
async def list_workers() -> farm.WorkersView:
    """List the workers: live ones first, then those thought dead, each with the reason.

    A worker says every so often that it lives (`heartbeat_seconds`); after three times as long
    without a word it is thought dead. Dead ones are shown for a day.
    """
    return await farm.show_workers(world.watching())


@router.get("/farm")
async def show_farm() -> farm.FarmView:
    """Sum up the farm: what waits, who works, and why nothing renders if nothing does."""
    return await farm.show_farm(world.watching())
