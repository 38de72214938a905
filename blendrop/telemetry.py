"""How does a process say what it does? One event a line, with the same keys everywhere."""

import logging
import sys
from typing import Literal

import structlog

_SHARED: list[structlog.types.Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.ExtraAdder(),
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]
# They report every request at info, with headers.
_CHATTY = ("azure", "aiohttp", "uvicorn.access")


def configure(log_format: Literal["json", "console"], **bound: object) -> None:
    """Set up logging for a process of our own, on standard output.

    `bound` names who speaks (`worker="worker-1"`) on every line.
    """
    handler = logging.StreamHandler(sys.stdout)
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    _configure(log_format)
    structlog.contextvars.bind_contextvars(**bound)


def configure_hosted(log_format: Literal["json", "console"]) -> None:
    """Set up logging inside the Functions host's Python worker, on the handlers that stand.

    Only the message travels to the host, so that the fields are rendered into it; a handler of our
    own would log every line twice, and replacing the worker's would silence all of them.
    """
    _configure(log_format)


def _configure(log_format: Literal["json", "console"]) -> None:
    renderer: structlog.types.Processor = structlog.processors.JSONRenderer()
    failures: list[structlog.types.Processor] = [structlog.processors.format_exc_info]
    if log_format == "console":
        renderer, failures = structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty()), []
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=_SHARED,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            *failures,
            renderer,
        ],
    )
    for handler in logging.getLogger().handlers:
        handler.setFormatter(formatter)
    structlog.configure(
        processors=[*_SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
