"""Which functions does an app hold, and what sets each of them off?"""

import inspect
import re
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import azure.functions as func
from azure.functions.decorators import function_app

from blendrop import errors

# The one account and key that every Azure storage emulator knows (Microsoft Learn, "Use Azurite").
_DEVELOPMENT_STORAGE = (
    "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;"
    "AccountKey=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==;"
    "BlobEndpoint=http://127.0.0.1:10000/devstoreaccount1;"
    "QueueEndpoint=http://127.0.0.1:10001/devstoreaccount1;"
    "TableEndpoint=http://127.0.0.1:10002/devstoreaccount1;"
)
TRIGGERS = ("blobTrigger", "queueTrigger", "timerTrigger", "httpTrigger")


@dataclass(frozen=True)
class HostedFunction:
    """One function of the app, with its trigger's binding as the app gives it."""

    name: str
    call: Callable[..., Any]
    trigger: Mapping[str, Any]
    environment: Mapping[str, str]

    @property
    def kind(self) -> str:
        """The binding's type, like `queueTrigger`."""
        return str(self.trigger["type"])

    def setting(self, key: str) -> str:
        """Return a property of the trigger, with `%NAME%` replaced by that app setting.

        Raises:
            InvalidRequestError: the trigger has no such property, or there is no such setting.
        """
        if key not in self.trigger:
            raise self.refused(self.kind, f"the binding has no {key}", f"Give it a {key}")

        def value(match: re.Match[str]) -> str:
            name = match[1]
            if name not in self.environment:
                raise self.refused(
                    f"{key} {self.trigger[key]!r}",
                    f"there is no app setting {name}",
                    f"Set the environment variable {name}",
                )
            return self.environment[name]

        return re.sub(r"%([^%]+)%", value, str(self.trigger[key]))

    def connection_string(self) -> str:
        """Return the connection string that the trigger's `connection` names.

        Raises:
            InvalidRequestError: the environment has none of that name.
        """
        name = self.setting("connection")
        given = self.environment.get(name, "").strip()
        if not given:
            raise self.refused(
                f"connection {name}",
                "the environment holds no connection string of that name",
                f"Set {name} to one, or to UseDevelopmentStorage=true",
            )
        if given.rstrip(";").lower() == "usedevelopmentstorage=true":
            return _DEVELOPMENT_STORAGE
        return given

    def argument_type(self) -> object:
        """Return what the function's parameter for the trigger is annotated with, or None."""
        return typing.get_type_hints(self.call).get(self.setting("name"))

    def wants_context(self) -> bool:
        """Tell whether it asks for the context of its invocation, by a parameter of that name."""
        return "context" in inspect.signature(self.call).parameters

    def refused(self, value: str, reason: str, remedy: str) -> errors.InvalidRequestError:
        """Return the error that says what of this function cannot be run here."""
        return errors.InvalidRequestError(
            errors.Problem(
                pointer=f"function {self.name}", value=value, reason=reason, remedy=remedy
            )
        )


def read(app: func.FunctionApp, environment: Mapping[str, str]) -> list[HostedFunction]:
    """Return the functions of an app.

    Raises:
        InvalidRequestError: a function has a binding that this host does not know.
    """
    return [_read_one(function, environment) for function in app.get_functions()]


def _read_one(function: function_app.Function, environment: Mapping[str, str]) -> HostedFunction:
    bindings = function.get_bindings_dict()["bindings"]
    hosted = HostedFunction(
        name=str(function.get_function_name()),
        call=function.get_user_function(),
        trigger=next(one for one in bindings if str(one["type"]).lower().endswith("trigger")),
        environment=environment,
    )
    for binding in bindings:
        answers = binding["type"] == "http" and binding["name"] == "$return"
        if binding["type"] not in TRIGGERS and not answers:
            raise hosted.refused(
                str(binding["type"]),
                f"this host knows no such binding, only {', '.join(TRIGGERS)}",
                "Install Azure Functions Core Tools and use `func start`",
            )
    return hosted
