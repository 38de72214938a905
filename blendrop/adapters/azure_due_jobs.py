"""Jobs of which something is due, on an Azure storage queue."""

import datetime
import json
import math

from blendrop.adapters.azure_clients import Clients, translated

_NEVER = -1  # time to live


class AzureDueJobs:
    """Carries out `ports.DueJobs`."""

    def __init__(self, clients: Clients, *, queue: str) -> None:
        self._clients = clients
        self._name = queue

    async def send(self, job_id: str, *, delay: datetime.timedelta) -> None:
        """Let what is due of a job be done after `delay`."""
        with translated(f"send word of job {job_id} to {self._name}"):
            await self._clients.queues.get_queue_client(self._name).send_message(
                json.dumps({"v": 1, "job": job_id}),
                visibility_timeout=math.ceil(delay.total_seconds()),
                time_to_live=_NEVER,
            )
