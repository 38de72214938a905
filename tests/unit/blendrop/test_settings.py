"""The environment is read in one place, and every variable is written down with its meaning."""

import json
import traceback
from pathlib import Path

import pytest

from blendrop import errors, settings

EXAMPLE = json.loads((Path(__file__).parents[3] / "local.settings.example.json").read_text())
HOST_OWN = {"FUNCTIONS_WORKER_RUNTIME", "AzureWebJobsStorage"}


def variables(kind: type[settings.Settings]) -> set[str]:
    """Return the environment variables of one kind of settings."""
    fields = kind.model_fields.items()
    return {str(field.alias) for name, field in fields if name != "storage"} | {
        settings.STORAGE_CONNECTION
    }


@pytest.mark.parametrize(
    ("kind", "section"),
    [
        pytest.param(settings.FunctionSettings, "Values", id="functions"),
        pytest.param(settings.WorkerSettings, "WorkerValues", id="worker"),
    ],
)
def test_the_example_holds_every_setting_and_is_valid(
    kind: type[settings.Settings], section: str
) -> None:
    """The example can be copied as it is, and nothing is missing from it."""
    example = EXAMPLE[section]

    assert set(example) - HOST_OWN == variables(kind)
    assert settings.read(kind, example).storage.connection_string == "UseDevelopmentStorage=true"


def test_the_example_holds_what_the_command_line_reads() -> None:
    """Each of its variables, with the values that it has without them."""
    expected = {
        settings.CLIENT_URL: "http://127.0.0.1:7071",
        settings.CLIENT_KEY: "",
        settings.CLIENT_TOKEN: "",
        settings.CLIENT_PATIENCE: "120",
    }

    assert expected == EXAMPLE["ClientValues"]
    assert set(expected) == settings.CLIENT_VARIABLES


def test_every_setting_has_a_meaning() -> None:
    """No setting without a sentence that says what it does, and no sentence without a setting."""
    expected = (
        variables(settings.FunctionSettings)
        | variables(settings.WorkerSettings)
        | settings.CLIENT_VARIABLES
        | HOST_OWN
    )

    assert set(EXAMPLE["Meanings"]) == expected


def test_the_example_shows_the_defaults() -> None:
    """Whoever copies the example changes nothing by it but where things are."""
    required = {"BLENDROP_STORAGE", "BLENDROP_FRAME_SHARE"}
    given = EXAMPLE["WorkerValues"]
    least = {name: given[name] for name in (*required, "BLENDROP_BLENDERS", "BLENDROP_LOG_FORMAT")}

    assert settings.read(settings.WorkerSettings, given) == settings.read(
        settings.WorkerSettings, least
    )


@pytest.mark.parametrize(
    ("changed", "pointer", "reason"),
    [
        pytest.param({"BLENDROP_STORAGE": ""}, "BLENDROP_STORAGE", "connection string", id="none"),
        pytest.param({"BLENDROP_BLENDERS": "5=/x"}, "BLENDROP_BLENDERS", "not like", id="pair"),
        pytest.param(
            {"BLENDROP_BLENDERS": ";"}, "BLENDROP_BLENDERS", "no Blender", id="no Blender"
        ),
        pytest.param(
            {"BLENDROP_LEASE_SECONDS": "1m"}, "BLENDROP_LEASE_SECONDS", "number", id="unit"
        ),
        pytest.param({"BLENDROP_FRAME_SHARE": " "}, "BLENDROP_FRAME_SHARE", "required", id="blank"),
    ],
)
def test_a_wrong_variable_is_named(changed: dict[str, str], pointer: str, reason: str) -> None:
    """The error names the variable and what is wrong with it."""
    with pytest.raises(errors.InvalidRequestError) as refused:
        settings.read(settings.WorkerSettings, EXAMPLE["WorkerValues"] | changed)

    (problem,) = refused.value.problems
    assert problem.pointer == pointer
    assert reason in problem.reason


AZURE = (
    "DefaultEndpointsProtocol=https;AccountName=farm;AccountKey=a2V5;"
    "EndpointSuffix=core.windows.net"
)
LOOPBACK = "".join(
    f"{service}Endpoint=http://{host}:1/farm;"
    for service, host in (("Blob", "127.0.0.1"), ("Queue", "localhost"), ("Table", "[::1]"))
)
MISLEADING = LOOPBACK.replace("127.0.0.1", "127.0.0.1.evil.example")


@pytest.mark.parametrize(
    ("changed", "pointer", "reason"),
    [
        pytest.param({"BLENDROP_STORAGE": AZURE}, "BLENDROP_AUTH", "laptop alone", id="azure"),
        pytest.param(
            {"BLENDROP_STORAGE": "", "BLENDROP_STORAGE__accountName": "farm"},
            "BLENDROP_AUTH",
            "laptop alone",
            id="identity",
        ),
        pytest.param(
            {"BLENDROP_STORAGE": MISLEADING}, "BLENDROP_AUTH", "laptop alone", id="misleading"
        ),
        pytest.param(
            {
                "BLENDROP_AUTH": "entra",
                "BLENDROP_ENTRA_TENANT": "11111111-2222-3333-4444-555555555555",
                "BLENDROP_ENTRA_AUDIENCE": " , ",
            },
            "BLENDROP_ENTRA_AUDIENCE",
            "BLENDROP_AUTH is entra",
            id="no-audience",
        ),
        pytest.param(
            {"BLENDROP_AUTH": "entra", "BLENDROP_ENTRA_AUDIENCE": "app"},
            "BLENDROP_ENTRA_TENANT",
            "BLENDROP_AUTH is entra",
            id="no-tenant",
        ),
        pytest.param(
            {"BLENDROP_ENTRA_TENANT": "common"}, "BLENDROP_ENTRA_TENANT", "pattern", id="any-tenant"
        ),
        pytest.param(
            {"BLENDROP_ENTRA_AUTHORITY": "http://login.example"},
            "BLENDROP_ENTRA_AUTHORITY",
            "https",
            id="plain-http",
        ),
        pytest.param({"BLENDROP_RATE_READ": "600"}, "BLENDROP_RATE_READ", "pattern", id="no-unit"),
        pytest.param(
            {"BLENDROP_RATE_SUBMIT": "0/minute"}, "BLENDROP_RATE_SUBMIT", "pattern", id="never"
        ),
    ],
)
def test_what_would_open_or_close_the_farm_by_mistake_is_refused(
    changed: dict[str, str], pointer: str, reason: str
) -> None:
    """Before anything is started."""
    with pytest.raises(errors.InvalidRequestError) as refused:
        settings.read(settings.FunctionSettings, EXAMPLE["Values"] | changed)

    (problem,) = refused.value.problems
    assert problem.pointer == pointer
    assert reason in problem.reason


def test_a_reference_that_the_vault_did_not_answer_is_no_secret() -> None:
    """Whoever knows the vault's name could sign as the farm does."""
    reference = (
        "@Microsoft.KeyVault(SecretUri=https://kv-farm.vault.azure.net/secrets/webhook-secret)"
    )
    given = EXAMPLE["Values"] | {"BLENDROP_WEBHOOK_SECRET": reference}

    read = settings.read(settings.FunctionSettings, given)

    assert read.webhook_secret == ""
    assert not read.limits.webhooks


@pytest.mark.parametrize("storage", [LOOPBACK, "UseDevelopmentStorage=true;"])
def test_a_laptop_lets_everybody_in(storage: str) -> None:
    """Only where nobody else can reach the storage."""
    given = EXAMPLE["Values"] | {"BLENDROP_STORAGE": storage}
    assert settings.read(settings.FunctionSettings, given).auth == "anonymous"


def test_an_account_name_is_enough_in_azure() -> None:
    """With an identity, addresses follow from the account's name."""
    given = EXAMPLE["WorkerValues"] | {
        "BLENDROP_STORAGE": "",
        "BLENDROP_STORAGE__accountName": "farm",
    }
    storage = settings.read(settings.WorkerSettings, given).storage

    assert storage.address("queue") == "https://farm.queue.core.windows.net"


def test_the_blenders_are_sorted_by_version() -> None:
    """4.10 is newer than 4.2, whatever the order they are given in."""
    given = EXAMPLE["WorkerValues"] | {"BLENDROP_BLENDERS": "5.0=/c;4.10=/b; 4.2=/a"}
    commands = settings.read(settings.WorkerSettings, given).commands()

    assert list(commands.items()) == [("4.2", "/a"), ("4.10", "/b"), ("5.0", "/c")]


@pytest.mark.parametrize("secret", ["whsec_", "whsec_my secret", "whsec_c2VjcmV0!", "whsec_c2Vjcm"])
def test_a_webhook_secret_that_is_no_base64_is_refused_and_not_shown(secret: str) -> None:
    """Taken as text it would sign what no library of Standard Webhooks could check."""
    with pytest.raises(errors.InvalidRequestError) as refused:
        settings.read(
            settings.FunctionSettings, EXAMPLE["Values"] | {"BLENDROP_WEBHOOK_SECRET": secret}
        )

    (problem,) = refused.value.problems
    assert problem.pointer == "BLENDROP_WEBHOOK_SECRET"
    assert "not base64" in problem.reason
    told = "".join(traceback.format_exception(refused.value))
    assert secret == "whsec_" or secret.removeprefix("whsec_") not in told


@pytest.mark.parametrize("secret", ["whsec_c2VjcmV0", "any text", "whsec"])
def test_a_webhook_secret_may_be_base64_or_any_text(secret: str) -> None:
    """It is base64 only after `whsec_`."""
    read = settings.read(
        settings.FunctionSettings, EXAMPLE["Values"] | {"BLENDROP_WEBHOOK_SECRET": secret}
    )
    assert read.webhook_secret == secret
