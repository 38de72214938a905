"""Announcements that are due, on an Azure storage queue."""

import datetime
import json
import math

from blendrop.adapters.azure_clients import Clients, translated

_NEVER = -1  # time to live


class AzureAnnouncementQueue:
    """Carries out `ports.AnnouncementQueue`."""

    def __init__(self, clients: Clients, *, queue: str) -> None:
        self._clients = clients
        self._name = queue

    async def send(self, job_id: str, *, delay: datetime.timedelta) -> None:
        """Let the announcement of a job be tried after `delay`."""
        with translated(f"send the announcement of job {job_id}"):
            await self._clients.queues.get_queue_client(self._name).send_message(
                json.dumps({"v": 1, "job": job_id}),
                visibility_timeout=math.ceil(delay.total_seconds()),
                time_to_live=_NEVER,
            )
