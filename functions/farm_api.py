"""Which requests about the farm itself are answered, and with what?"""

import fastapi

from blendrop.usecases import farm
from functions import world

router = fastapi.APIRouter(tags=["farm"])


@router.get("/workers")
async def list_workers() -> farm.WorkersView:
    """List the workers: live ones first, then those thought dead, each with the reason.

    A worker writes its row every few seconds; one whose row has grown old is thought dead. Rows are
    kept for a day.
    """
    return await farm.show_workers(world.watching())


@router.get("/farm")
async def show_farm() -> farm.FarmView:
    """Sum up the farm: what waits, who works, and why nothing renders if nothing does."""
    return await farm.show_farm(world.watching())
