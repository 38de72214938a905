"""How is an address of somebody else's told something, without being led astray?

It is named by whoever submits a job, and may point anywhere: only public addresses are connected to
(or hosts that the farm's engineer allows), redirects are not followed, and nothing that is answered
is used but its status.
"""

import socket
from collections.abc import Collection, Mapping

import aiohttp
from aiohttp import abc, resolver

from blendrop import errors
from blendrop.domain import webhook_addresses

_TIMEOUT = aiohttp.ClientTimeout(total=10)


class _PublicResolver(abc.AbstractResolver):
    """Finds the addresses of a host, and refuses those that are private.

    The connection is made to the very addresses that were looked at, so that a name cannot be
    resolved to something else in between.
    """

    def __init__(self, own_hosts: Collection[str]) -> None:
        self._own_hosts = own_hosts
        self._resolver = resolver.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[abc.ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        if host in self._own_hosts:
            return found
        if private := [
            one["host"] for one in found if not webhook_addresses.is_public(one["host"])
        ]:
            raise errors.InvalidRequestError(
                errors.Problem(
                    pointer="webhook",
                    value=host,
                    reason=f"it is the private or local address {private[0]}",
                    remedy="Give an address on the internet, or ask the farm's engineer to allow "
                    "the host in BLENDROP_WEBHOOK_HOSTS",
                )
            )
        return found

    async def close(self) -> None:
        await self._resolver.close()


class HttpWebhooks:
    """Carries out `ports.Webhooks`."""

    def __init__(self, *, own_hosts: Collection[str]) -> None:
        self._own_hosts = own_hosts

    async def post(self, address: str, *, body: bytes, headers: Mapping[str, str]) -> None:
        """Tell an address something.

        Raises:
            InvalidRequestError: it may not be told; it makes no sense to try again.
            UnavailableError: it did not take it.
        """
        if refused := webhook_addresses.refusal(address, own_hosts=self._own_hosts):
            raise errors.InvalidRequestError(
                errors.Problem(
                    pointer="webhook",
                    value=address,
                    reason=refused,
                    remedy="Give an https address on the internet",
                )
            )
        connector = aiohttp.TCPConnector(resolver=_PublicResolver(self._own_hosts))
        try:
            async with (
                aiohttp.ClientSession(connector=connector, timeout=_TIMEOUT) as http,
                http.post(
                    address, data=body, headers=dict(headers), allow_redirects=False
                ) as answer,
            ):
                status = answer.status
        except (aiohttp.ClientError, TimeoutError, ValueError) as away:
            raise errors.UnavailableError(
                f"{address} cannot be reached ({type(away).__name__})"
            ) from away
        if not 200 <= status < 300:
            raise errors.UnavailableError(f"{address} answered {status}")
