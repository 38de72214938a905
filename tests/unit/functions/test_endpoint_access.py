"""Does each endpoint of the real app take those only who may use it?"""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from functions import api, world
from tests.doubles import entra, guarded_app
from tests.doubles.entra import ANN, AUDIENCE, TENANT, Tenant
from tests.doubles.farm import MemoryFarm

OPERATIONS = sorted(
    (method.upper(), path)
    for path, methods in api.app.openapi()["paths"].items()
    for method in methods
    if path != "/api/health"
)
CHANGES = [one for one in OPERATIONS if one[0] != "GET"]
OF_ONE_JOB = [one for one in CHANGES if "{job_id}" in one[1]]
BOB = ANN[:-1] + "2"


@pytest_asyncio.fixture
async def tenant(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Tenant]:
    """Return a tenant that the app trusts."""
    async with entra.running() as running:
        guarded_app.given(
            monkeypatch,
            auth="entra",
            entra_tenant=TENANT,
            entra_audience=AUDIENCE,
            entra_authority=running.authority,
        )
        yield running


async def asked(
    method: str, path: str, token: str, job_id: str = "none-000000000000"
) -> httpx.Response:
    """Ask the real app, with nothing but the token."""
    filled = path.format(job_id=job_id, frame=1)
    transport = httpx.ASGITransport(app=api.app)
    headers = {"authorization": f"Bearer {token}"} if token else {}
    async with httpx.AsyncClient(transport=transport, base_url="http://farm") as http:
        return await http.request(method, filled, headers=headers)


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
async def test_nobody_unknown_gets_anything(tenant: Tenant, method: str, path: str) -> None:
    """Nor does somebody of the tenant whom nobody gave a role."""
    assert (await asked(method, path, "")).status_code == 401
    assert (await asked(method, path, tenant.token(roles=[]))).status_code == 403


@pytest.mark.parametrize(("method", "path"), CHANGES)
async def test_who_may_look_may_not_change(tenant: Tenant, method: str, path: str) -> None:
    """Not even something that is not there."""
    answer = await asked(method, path, tenant.token(roles=["Blendrop.Read"]))
    assert answer.status_code == 403
    assert "may not submit" in answer.json()["detail"]


@pytest.mark.parametrize(("method", "path"), OF_ONE_JOB)
async def test_a_job_is_steered_by_its_owner_and_administrators(
    tenant: Tenant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str, path: str
) -> None:
    """By nobody else who may submit, whatever their name says."""
    farm = MemoryFarm(tmp_path / "frames")
    monkeypatch.setattr(world, "showing", farm.showing)
    monkeypatch.setattr(world, "control", farm.control)
    job = await farm.queued_job()
    standing = await farm.table.get_job(job.id)
    owned = standing.row.model_copy(update={"owner": f"old name <{ANN}>"})
    await farm.table.replace_job(owned, etag=standing.etag)

    bob = tenant.token(oid=BOB, preferred_username=f"old name <{ANN}>")
    refused = await asked(method, path, bob, job.id)
    assert refused.status_code == 403
    assert "old name" in refused.json()["detail"]
    for allowed in (
        tenant.token(),
        tenant.token(oid=BOB, roles=["Blendrop.Administer"]),
    ):
        assert (await asked(method, path, allowed, job.id)).status_code != 403
