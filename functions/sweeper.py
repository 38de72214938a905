"""When is what a crash left half done put right? Every minute."""

import azure.functions as func

from blendrop.usecases import farm, recover
from functions import world

sweeper = func.Blueprint()


@sweeper.function_name("sweep")
@sweeper.timer_trigger(arg_name="timer", schedule="0 * * * * *", run_on_startup=False)
async def sweep(timer: func.TimerRequest) -> None:  # noqa: ARG001 the host insists on the argument
    """Repair the open jobs, and forget workers that are long gone."""
    await recover.sweep(world.submission())
    await farm.forget_dead_workers(world.watching())
