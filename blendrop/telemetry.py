"""How does a process say what it does? One event a line, with the same keys everywhere.

`job`, `batch`, `frame`, `attempt`, `worker` and `trace_id` are called the same on every line, span
and row. All lines are made here, those of libraries and of uncaught exceptions, too, so that here
is where secrets are taken out of them.
"""

import logging
import sys
import threading
import time
import types
from collections.abc import MutableMapping
from typing import Any, Literal

import structlog

from blendrop.redaction import Redactor

# They report every request at info, with headers.
_CHATTY = ("azure", "aiohttp", "uvicorn.access")
# What sends telemetry says anew at every try that its collector is away.
_REPETITIVE = ("opentelemetry", "azure.monitor")
_REPEATED_AFTER = 300.0  # seconds

log = structlog.stdlib.get_logger(__name__)


def configure(log_format: Literal["json", "console"], redactor: Redactor, **bound: object) -> None:
    """Set up logging for a process of our own, on standard output.

    `bound` names who speaks (`worker="worker-1"`) on every line. What nobody catches is said there,
    too, and by no trace on standard error.
    """
    handler = logging.StreamHandler(sys.stdout)
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.captureWarnings(capture=True)
    _configure(log_format, redactor, bound)
    sys.excepthook = _uncaught
    threading.excepthook = _uncaught_in_thread


def configure_hosted(log_format: Literal["json", "console"], redactor: Redactor) -> None:
    """Set up logging inside the Functions host's Python worker, on the handlers that stand.

    Only the message travels to the host, so that the fields are rendered into it; a handler of our
    own would log every line twice, and replacing the worker's would silence all of them.
    """
    _configure(log_format, redactor, {})


def _configure(
    log_format: Literal["json", "console"], redactor: Redactor, bound: dict[str, object]
) -> None:
    def with_bound(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        return {**bound, **event}  # in every thread, which context variables are not

    def redacted(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        return redactor.fields(event)

    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        with_bound,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: structlog.types.Processor = structlog.processors.JSONRenderer(ensure_ascii=False)
    if log_format == "console":
        renderer = structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty())
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            redacted,  # last: after everything that could bring in a secret
            renderer,
        ],
    )
    for handler in logging.getLogger().handlers:
        handler.setFormatter(formatter)
        handler.addFilter(_Sparing())
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)


class _Sparing(logging.Filter):
    """Lets each repetitive logger speak once in a while."""

    def __init__(self) -> None:
        super().__init__()
        self._spoke: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether a line is to be said."""
        if not record.name.startswith(_REPETITIVE):
            return True
        now = time.monotonic()
        spoke = self._spoke.get(record.name)
        if spoke is not None and now - spoke < _REPEATED_AFTER:
            return False
        self._spoke[record.name] = now
        return True


def _uncaught(
    kind: type[BaseException], raised: BaseException, trace: types.TracebackType | None
) -> None:
    if issubclass(kind, KeyboardInterrupt):
        log.warning("interrupted")
        return
    log.critical("uncaught_exception", exc_info=(kind, raised, trace))


def _uncaught_in_thread(told: threading.ExceptHookArgs) -> None:
    if told.exc_value is not None:
        _uncaught(told.exc_type, told.exc_value, told.exc_traceback)
