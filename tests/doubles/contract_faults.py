"""What may go wrong between the command line and a farm, for one request each."""

import asyncio

from aiohttp import web

from tests.doubles import contract_farm
from tests.doubles.contract_farm import ContractFarm, Fault


def busy(status: int, *, after: str = "", detail: str = "the backlog is too deep") -> Fault:
    """Return a fault: the farm, or the storage, has too much to do."""

    async def answer(_: web.Request, __: ContractFarm) -> web.StreamResponse:
        return contract_farm.problem(
            status, detail, headers={"Retry-After": after} if after else {}
        )

    return answer


def refused(detail: str, *problems: dict[str, str]) -> Fault:
    """Return a fault: the request is wrong."""

    async def answer(_: web.Request, __: ContractFarm) -> web.StreamResponse:
        return contract_farm.problem(422, detail, list(problems))

    return answer


async def cut_in_request(request: web.Request, _: ContractFarm) -> None:
    """A fault: the connection is lost while the body is on its way here."""
    await request.content.read(100)
    abort(request)


async def lost_answer(request: web.Request, farm: ContractFarm) -> None:
    """A fault: all is done, and the answer is lost."""
    await farm.handle(request)
    abort(request)


async def half_sent(request: web.Request, farm: ContractFarm) -> web.StreamResponse:
    """A fault: the connection is lost in the middle of the answer."""
    whole = await farm.handle(request)
    assert isinstance(whole, web.Response)
    assert isinstance(whole.body, bytes)
    answer = web.StreamResponse(status=whole.status, headers=whole.headers)
    answer.content_length = len(whole.body)
    await answer.prepare(request)
    await answer.write(whole.body[: len(whole.body) // 2])
    await asyncio.sleep(0.05)  # on its way before the end
    abort(request)
    return answer


async def damaged(request: web.Request, farm: ContractFarm) -> web.StreamResponse:
    """A fault: a byte in the middle is another one."""
    whole = await farm.handle(request)
    assert isinstance(whole, web.Response)
    assert isinstance(whole.body, bytes)
    body = bytearray(whole.body)
    body[len(body) // 2] ^= 1
    return web.Response(body=bytes(body), status=whole.status, headers=whole.headers)


def abort(request: web.Request) -> None:
    """Cut the connection."""
    assert request.transport is not None
    request.transport.abort()
