"""When is what a crash left half done put right? Every minute."""

import datetime

import azure.functions as func

from blendrop.usecases import farm, recover
from functions import invocation, world

sweeper = func.Blueprint()

# Instances' clocks may differ: a counter is left alone until its window has ended on all of them.
_ENDED = datetime.timedelta(minutes=5)


@sweeper.function_name("sweep")
@sweeper.timer_trigger(arg_name="timer", schedule="0 * * * * *", run_on_startup=False)
async def sweep(
    timer: func.TimerRequest,  # noqa: ARG001 the host insists on the argument
    context: func.Context,
) -> None:
    """Repair the open jobs, and forget what nobody has any more use for."""
    with invocation.of(context):
        await recover.sweep(world.submission())
        await farm.forget_dead_workers(world.watching())
        counters = world.rate_counters()
        await counters.forget(before=world.clock().now() - _ENDED)
