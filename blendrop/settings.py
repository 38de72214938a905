"""Every environment variable that Blendrop reads, and the names that code and Azure share.

Nothing else in the project reads the environment. A variable that is missing or wrong is named in
the error, with what to give instead.
"""

import ipaddress
import re
import urllib.parse
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, TypeVar

import pydantic

from blendrop import errors, redaction
from blendrop.domain import costs, job_settings, webhooks

SCENES_CONTAINER = "scenes"
UPLOADS_QUEUE = "scene-uploads"
# The host parks what a queue trigger could not handle under this name (Microsoft Learn, "Azure
# Queue storage trigger").
UPLOADS_POISON_QUEUE = f"{UPLOADS_QUEUE}-poison"
# Event Grid leaves here what it could not put on the queue.
DEAD_LETTERS_CONTAINER = "scene-uploads-dead-letters"
BATCHES_QUEUE = "render-batches"
HIGH_QUEUE = "render-batches-high"
POISON_QUEUE = "render-batches-poison"
DUE_JOBS_QUEUE = "due-jobs"
DUE_JOBS_POISON_QUEUE = f"{DUE_JOBS_QUEUE}-poison"
QUEUES = (UPLOADS_QUEUE, HIGH_QUEUE, BATCHES_QUEUE, POISON_QUEUE, DUE_JOBS_QUEUE)
BATCH_QUEUES = (HIGH_QUEUE, BATCHES_QUEUE)
NEWS_QUEUES = (UPLOADS_QUEUE, DUE_JOBS_QUEUE)
POISON_QUEUES = (POISON_QUEUE, UPLOADS_POISON_QUEUE, DUE_JOBS_POISON_QUEUE)
JOBS_TABLE = "jobs"
WORKERS_TABLE = "workers"
RATE_LIMITS_TABLE = "ratelimits"

# The name that bindings of the function app and our own clients call the storage account by. In
# Azure it is a family of variables (`BLENDROP_STORAGE__blobServiceUri`, …), elsewhere one
# connection string (Microsoft Learn, "Connecting to host storage with an identity").
STORAGE_CONNECTION = "BLENDROP_STORAGE"

# What the command line may be told by the environment; typer reads it, by an option of each name.
CLIENT_URL = "BLENDROP_URL"
CLIENT_KEY = "BLENDROP_FUNCTION_KEY"
CLIENT_TOKEN = "BLENDROP_TOKEN"  # noqa: S105 the name of one
CLIENT_PATIENCE = "BLENDROP_PATIENCE"
CLIENT_VARIABLES = frozenset({CLIENT_URL, CLIENT_KEY, CLIENT_TOKEN, CLIENT_PATIENCE})


class StorageConnection(pydantic.BaseModel):
    """How to reach the storage account: a connection string, or addresses and an identity."""

    model_config = pydantic.ConfigDict(frozen=True, hide_input_in_errors=True)

    connection_string: str = pydantic.Field("", alias=STORAGE_CONNECTION, repr=False)
    account_name: str = pydantic.Field("", alias=f"{STORAGE_CONNECTION}__accountName")
    blob_service_uri: str = pydantic.Field("", alias=f"{STORAGE_CONNECTION}__blobServiceUri")
    queue_service_uri: str = pydantic.Field("", alias=f"{STORAGE_CONNECTION}__queueServiceUri")
    table_service_uri: str = pydantic.Field("", alias=f"{STORAGE_CONNECTION}__tableServiceUri")
    client_id: str = pydantic.Field("", alias=f"{STORAGE_CONNECTION}__clientId")

    @pydantic.model_validator(mode="after")
    def _reachable(self) -> "StorageConnection":
        services = (self.blob_service_uri, self.queue_service_uri, self.table_service_uri)
        if not self.connection_string and not self.account_name and not all(services):
            raise ValueError(
                f"give {STORAGE_CONNECTION} (a connection string), or "
                f"{STORAGE_CONNECTION}__accountName, or the three of "
                f"{STORAGE_CONNECTION}__blobServiceUri, __queueServiceUri and __tableServiceUri"
            )
        return self

    def address(self, service: Literal["blob", "queue", "table"]) -> str:
        """Return the address of one of the account's services."""
        given: str = getattr(self, f"{service}_service_uri")
        return given or f"https://{self.account_name}.{service}.core.windows.net"

    @property
    def on_this_machine(self) -> bool:
        """Whether it is the emulator, or another storage that only this machine can reach."""
        if not self.connection_string:
            return False
        if self.connection_string.strip().rstrip(";").lower() == "usedevelopmentstorage=true":
            return True
        parts = (part.partition("=") for part in self.connection_string.split(";"))
        given = {name.strip().lower(): value.strip() for name, _, value in parts}
        endpoints = (given.get(f"{service}endpoint", "") for service in ("blob", "queue", "table"))
        return all(_is_loopback(endpoint) for endpoint in endpoints)


def _is_loopback(address: str) -> bool:
    host = urllib.parse.urlsplit(address).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


# How often a client may ask, like 600/minute or 100/10second: the notation of the library `limits`,
# which only the function app has.
RATE = r"^[1-9]\d{0,8}/([1-9]\d{0,3} ?)?(second|minute|hour|day)$"
_GUID = r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"


_LISTED_PRICES = costs.PriceTable.model_validate_json(
    Path(__file__).with_name("prices.json").read_bytes()
)


class Settings(pydantic.BaseModel):
    """What functions and workers both need to know."""

    model_config = pydantic.ConfigDict(frozen=True, hide_input_in_errors=True)

    storage: StorageConnection
    frame_share: Path = pydantic.Field(alias="BLENDROP_FRAME_SHARE")
    log_format: Literal["json", "console"] = pydantic.Field("json", alias="BLENDROP_LOG_FORMAT")
    # The farm's own prices, over those of blendrop/prices.json; see docs/cost.md.
    own_prices: str = pydantic.Field("", alias="BLENDROP_PRICES")
    # Where spans and metrics go, by the names that OpenTelemetry and Azure gave these; see
    # docs/observe.md. Neither: they go nowhere, and no exporter is loaded.
    collector: str = pydantic.Field("", alias="OTEL_EXPORTER_OTLP_ENDPOINT")
    # The exporter reads them by itself; they are here because they hold what nobody may see.
    collector_headers: str = pydantic.Field("", alias="OTEL_EXPORTER_OTLP_HEADERS", repr=False)
    insights: str = pydantic.Field("", alias="APPLICATIONINSIGHTS_CONNECTION_STRING", repr=False)
    # Of traces in which nothing fails; every other one is kept.
    trace_share: float = pydantic.Field(1, ge=0, le=1, alias="BLENDROP_TRACE_SHARE")

    @pydantic.field_validator("own_prices")
    @classmethod
    def _prices_can_be_read(cls, text: str) -> str:
        _LISTED_PRICES.overridden(text)
        return text

    @property
    def prices(self) -> costs.PriceTable:
        """What things cost this farm."""
        return _LISTED_PRICES.overridden(self.own_prices)

    @property
    def secrets(self) -> frozenset[str]:
        """What of all this nobody may see."""
        headers = (part.partition("=")[2] for part in self.collector_headers.split(","))
        return frozenset(
            {
                *redaction.of_connection(self.storage.connection_string),
                *redaction.of_connection(self.insights),
                *(urllib.parse.unquote(value).strip() for value in headers),
            }
        )


class FunctionSettings(Settings):
    """What the function app needs to know."""

    uploads_door: Literal["poll", "event-grid"] = pydantic.Field(
        "event-grid", alias="BLENDROP_UPLOADS_DOOR"
    )
    # The newest Blender that the workers have, like 5.0: a scene of a newer one is refused at once.
    newest_blender: str = pydantic.Field(
        pattern=r"^\d+\.\d+$", alias="BLENDROP_NEWEST_BLENDER", validate_default=True
    )
    # The most frames of a batch, where a job gives no size; batches are cut for so many workers.
    batch_size: int = pydantic.Field(25, ge=1, le=500, alias="BLENDROP_BATCH_SIZE")
    most_workers: int = pydantic.Field(10, ge=1, le=10_000, alias="BLENDROP_MOST_WORKERS")
    frames_per_job: int = pydantic.Field(20_000, ge=1, alias="BLENDROP_FRAMES_PER_JOB")
    frames_per_batch: int = pydantic.Field(500, ge=1, le=500, alias="BLENDROP_FRAMES_PER_BATCH")
    scene_bytes: int = pydantic.Field(20 * 2**30, ge=1, alias="BLENDROP_SCENE_BYTES")
    name_length: int = pydantic.Field(512, ge=1, le=1024, alias="BLENDROP_NAME_LENGTH")
    zip_bytes: int = pydantic.Field(256 * 2**20, ge=1, alias="BLENDROP_ZIP_BYTES")
    webhook_secret: str = pydantic.Field("", alias="BLENDROP_WEBHOOK_SECRET", repr=False)
    webhook_hosts: str = pydantic.Field("", alias="BLENDROP_WEBHOOK_HOSTS")
    # A submission in the making is left in peace this long by the sweeper.
    settling_seconds: float = pydantic.Field(120, ge=0, alias="BLENDROP_SETTLING_SECONDS")

    # Who may ask over HTTP, and how they prove who they are; see docs/access.md.
    auth: Literal["function-key", "entra", "anonymous"] = pydantic.Field(
        "function-key", alias="BLENDROP_AUTH"
    )
    entra_tenant: str = pydantic.Field(
        "", pattern=f"^$|{_GUID}", alias="BLENDROP_ENTRA_TENANT", validate_default=True
    )
    entra_audience: str = pydantic.Field("", alias="BLENDROP_ENTRA_AUDIENCE", validate_default=True)
    entra_authority: str = pydantic.Field(
        "https://login.microsoftonline.com", alias="BLENDROP_ENTRA_AUTHORITY"
    )
    role_read: str = pydantic.Field("Blendrop.Read", alias="BLENDROP_ROLE_READ")
    role_submit: str = pydantic.Field("Blendrop.Submit", alias="BLENDROP_ROLE_SUBMIT")
    role_administer: str = pydantic.Field("Blendrop.Administer", alias="BLENDROP_ROLE_ADMINISTER")
    rate_read: str = pydantic.Field("1200/minute", pattern=RATE, alias="BLENDROP_RATE_READ")
    rate_submit: str = pydantic.Field("60/minute", pattern=RATE, alias="BLENDROP_RATE_SUBMIT")
    # Proxies that stand before the function app and append to X-Forwarded-For.
    trusted_proxies: int = pydantic.Field(0, ge=0, le=10, alias="BLENDROP_TRUSTED_PROXIES")
    # Batches that may wait on the queue before no more jobs are taken over HTTP.
    backlog: int = pydantic.Field(20_000, ge=1, alias="BLENDROP_BACKLOG")

    @pydantic.field_validator("auth")
    @classmethod
    def _nobody_is_let_in_by_mistake(cls, auth: str, given: pydantic.ValidationInfo) -> str:
        storage = given.data.get("storage")
        if auth == "anonymous" and storage is not None and not storage.on_this_machine:
            raise ValueError(
                f"anonymous lets everyone do everything, and {STORAGE_CONNECTION} is no emulator "
                "on this machine: it is for a laptop alone. Give function-key or entra"
            )
        return auth

    @pydantic.field_validator("webhook_secret")
    @classmethod
    def _signatures_can_be_made_and_checked(cls, secret: str) -> str:
        # A reference that Azure could not resolve is left as it stands (Microsoft Learn, "Use Key
        # Vault references as app settings"): it is no secret, and everybody knows it.
        if secret.startswith("@Microsoft.KeyVault("):
            return ""
        webhooks.key(secret)
        return secret

    @pydantic.field_validator("entra_tenant", "entra_audience")
    @classmethod
    def _entra_is_told_whom_to_trust(cls, text: str, given: pydantic.ValidationInfo) -> str:
        if given.data.get("auth") == "entra" and not text.strip(" ,"):
            raise ValueError("BLENDROP_AUTH is entra, which needs it; see docs/access.md")
        return text

    @pydantic.field_validator("entra_authority")
    @classmethod
    def _keys_come_by_tls(cls, address: str) -> str:
        parts = urllib.parse.urlsplit(address)
        if parts.scheme != "https" and not (parts.scheme == "http" and _is_loopback(address)):
            raise ValueError(
                "it must be an https address: whoever answers there decides who may in"
            )
        return address.rstrip("/")

    @property
    def secrets(self) -> frozenset[str]:
        """What of all this nobody may see."""
        return super().secrets | {self.webhook_secret}

    @property
    def limits(self) -> job_settings.Limits:
        """The limits that a job is held to."""
        return job_settings.Limits(
            frames_per_job=self.frames_per_job,
            frames_per_batch=self.frames_per_batch,
            scene_bytes=self.scene_bytes,
            name_length=self.name_length,
            default_batch_size=self.batch_size,
            most_workers=self.most_workers,
            newest_blender=self.newest_blender,
            webhooks=bool(self.webhook_secret),
            own_hosts=self.own_hosts,
        )

    @property
    def own_hosts(self) -> frozenset[str]:
        """The hosts that may be told of jobs though they are private."""
        return frozenset(filter(None, (one.strip() for one in self.webhook_hosts.split(","))))


class WorkerSettings(Settings):
    """What a worker needs to know; times in seconds."""

    # Which Blenders there are: "4.5=/opt/bpy-4.5/bin/python;5.0=/opt/blender-5.0/blender".
    blenders: str = pydantic.Field(alias="BLENDROP_BLENDERS")
    worker_name: str = pydantic.Field("", max_length=80, alias="BLENDROP_WORKER_NAME")
    scratch: Path = pydantic.Field(Path("/tmp/blendrop"), alias="BLENDROP_SCRATCH")  # noqa: S108 a container's own disk
    scene_cache_bytes: int = pydantic.Field(4 * 2**30, ge=0, alias="BLENDROP_SCENE_CACHE_BYTES")
    lease_seconds: float = pydantic.Field(60, ge=1, le=3600, alias="BLENDROP_LEASE_SECONDS")
    poll_seconds: float = pydantic.Field(1, gt=0, le=60, alias="BLENDROP_POLL_SECONDS")
    idle_seconds: float = pydantic.Field(0, ge=0, alias="BLENDROP_IDLE_SECONDS")  # 0: never leave
    stop_grace_seconds: float = pydantic.Field(12, ge=0, alias="BLENDROP_STOP_GRACE_SECONDS")
    load_seconds: float = pydantic.Field(900, gt=0, alias="BLENDROP_LOAD_SECONDS")
    frame_seconds: float = pydantic.Field(7200, gt=0, alias="BLENDROP_FRAME_SECONDS")
    stall_seconds: float = pydantic.Field(1200, gt=0, alias="BLENDROP_STALL_SECONDS")
    blender_memory_mib: int = pydantic.Field(0, ge=0, alias="BLENDROP_BLENDER_MEMORY_MIB")  # 0: all
    cycles_device: Literal["CPU", "CUDA", "OPTIX", "HIP", "ONEAPI", "METAL"] = pydantic.Field(
        "CPU", alias="BLENDROP_CYCLES_DEVICE"
    )
    # A batch that takes longer than this gives its tail back when others are idle; 0: never.
    batch_seconds: float = pydantic.Field(20, ge=0, alias="BLENDROP_BATCH_SECONDS")
    frame_attempts: int = pydantic.Field(3, ge=1, alias="BLENDROP_FRAME_ATTEMPTS")
    retry_seconds: float = pydantic.Field(10, ge=0, alias="BLENDROP_RETRY_SECONDS")
    breaker_frames: int = pydantic.Field(10, ge=1, alias="BLENDROP_BREAKER_FRAMES")
    breaker_share: float = pydantic.Field(0.5, ge=0, le=1, alias="BLENDROP_BREAKER_SHARE")
    failed_jobs: int = pydantic.Field(3, ge=1, alias="BLENDROP_FAILED_JOBS")
    image_pixels: int = pydantic.Field(2**28, ge=1, alias="BLENDROP_IMAGE_PIXELS")
    heartbeat_seconds: float = pydantic.Field(30, ge=1, le=600, alias="BLENDROP_HEARTBEAT_SECONDS")
    # Its own small HTTP port; 0: none. The image opens it to everyone who reaches the container.
    status_port: int = pydantic.Field(0, ge=0, le=65535, alias="BLENDROP_STATUS_PORT")
    status_host: str = pydantic.Field("127.0.0.1", alias="BLENDROP_STATUS_HOST")

    def commands(self) -> dict[str, str]:
        """Return the program of each Blender by its version, oldest first."""
        pairs = (entry.partition("=") for entry in self.blenders.split(";") if entry.strip())
        by_version = {version.strip(): program.strip() for version, _, program in pairs}
        return dict(sorted(by_version.items(), key=lambda pair: _version_key(pair[0])))

    @pydantic.field_validator("blenders")
    @classmethod
    def _each_is_a_pair(cls, text: str) -> str:
        entries = list(filter(str.strip, text.split(";")))
        for entry in entries:
            version, _, program = entry.partition("=")
            if not re.fullmatch(r"\d+\.\d+", version.strip()) or not program.strip():
                raise ValueError(f"{entry!r} is not like 5.0=/opt/blender-5.0/blender")
        if not entries:
            raise ValueError("it names no Blender; give one like 5.0=/opt/blender-5.0/blender")
        return text


def _version_key(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


Read = TypeVar("Read", bound=Settings)


def read(kind: type[Read], environment: Mapping[str, str]) -> Read:
    """Read one kind of settings from the environment; an empty variable counts as not given.

    Raises:
        InvalidRequestError: with every variable that is missing or wrong.
    """
    given = {name: value for name, value in environment.items() if value.strip()}
    problems: list[errors.Problem] = []
    nested: dict[str, object] = {}
    try:
        nested["storage"] = StorageConnection.model_validate(given)
    except pydantic.ValidationError as invalid:
        problems.extend(_problems(invalid, StorageConnection))
    try:
        settings = kind.model_validate(nested | given)
    except pydantic.ValidationError as invalid:
        problems.extend(_problems(invalid, kind))
        raise errors.InvalidRequestError(*problems) from invalid
    return settings


def _problems(
    invalid: pydantic.ValidationError, kind: type[pydantic.BaseModel]
) -> list[errors.Problem]:
    # What is wrong with a default comes under the field's name, all else under the variable's.
    variables = {name: field.alias for name, field in kind.model_fields.items() if field.alias}
    secret = {field.alias for field in kind.model_fields.values() if not field.repr}

    def variable(location: tuple[int | str, ...]) -> str:
        return variables.get(str(location[-1]), str(location[-1]))

    return [
        errors.Problem(
            pointer=variable(error["loc"]) if error["loc"] else STORAGE_CONNECTION,
            value=str(error["input"])[:80]
            if error["loc"] and error["type"] != "missing" and variable(error["loc"]) not in secret
            else "",
            reason=error["msg"],
            remedy="See local.settings.example.json for its meaning",
        )
        for error in invalid.errors(include_url=False)
        if error["loc"] != ("storage",)  # told in full on its own
    ]
