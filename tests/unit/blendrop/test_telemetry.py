"""Every line that a process says is one JSON object, whoever says it, and holds no secret."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
PLANTED = "cGxhbnRlZA"
BEGIN = f"""
import asyncio, logging, threading, warnings
import structlog
from azure.core import exceptions
from blendrop import redaction, telemetry

redactor = redaction.Redactor(["the webhook secret"])
log = structlog.stdlib.get_logger("ours")
secret = "https://farm/a.blend?sig={PLANTED} AccountKey={PLANTED}; Authorization: Bearer {PLANTED}"
"""
CASES = {
    "an error of an SDK, with what it came from": """
try:
    try:
        raise exceptions.HttpResponseError(f"cannot GET {secret}")
    except exceptions.AzureError as away:
        raise ValueError("the webhook secret") from away
except ValueError:
    log.exception("failed", reason=secret, headers={"Authorization": secret})
""",
    "a library's line": """
logging.getLogger("azure.core").warning("Request headers: %s", {"Authorization": secret})
logging.getLogger("any").error("failed", extra={"address": secret}, exc_info=ValueError(secret))
""",
    "a warning": "warnings.warn(secret)",
    "a thread that nobody looks after": """
thread = threading.Thread(target=lambda: int(secret))
thread.start()
thread.join()
""",
    "a task that nobody awaits": """
async def main():
    asyncio.create_task(asyncio.to_thread(int, secret))
    await asyncio.sleep(0.1)
asyncio.run(main())
""",
    "an error that nobody catches": "raise RuntimeError(secret)",
}


def said(program: str) -> tuple[str, str]:
    """Run a program; return what it said, on standard output and on standard error."""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.stdout, done.stderr


@pytest.mark.parametrize("case", CASES)
def test_nothing_that_a_process_says_holds_a_secret(case: str) -> None:
    """And all of it is JSON, on standard output."""
    configure = 'telemetry.configure("json", redactor, worker="w1")'
    output, complained = said(f"{BEGIN}{configure}\n{CASES[case]}")

    lines: list[dict[str, Any]] = [json.loads(line) for line in output.splitlines()]
    assert lines
    assert {line["worker"] for line in lines} == {"w1"}
    assert all({"event", "level", "logger", "timestamp"} <= line.keys() for line in lines)
    assert "[redacted]" in output
    assert PLANTED not in output
    assert "the webhook secret" not in output
    assert complained == ""


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_inside_the_hosts_worker_its_own_handlers_say_no_secret(log_format: str) -> None:
    """Their lines are rendered here, too; for a terminal they are as clean."""
    configure = f"""
logging.basicConfig(level=logging.INFO, format="%(message)s")
telemetry.configure_hosted("{log_format}", redactor)
"""
    output, complained = said(
        BEGIN + configure + CASES["a library's line"] + CASES[next(iter(CASES))]
    )

    assert output == ""  # the host's handler writes elsewhere
    assert "[redacted]" in complained
    assert PLANTED not in complained
    assert "the webhook secret" not in complained


def test_what_is_said_over_and_over_of_a_collector_is_said_once() -> None:
    """It would drown what people look for."""
    program = """
telemetry.configure("json", redactor)
for name in ("opentelemetry.exporter", "opentelemetry.exporter", "ours.exporter", "ours.exporter"):
    logging.getLogger(name).error("cannot reach the collector")
"""
    output, _ = said(BEGIN + program)

    loggers = [json.loads(line)["logger"] for line in output.splitlines()]
    assert loggers == ["opentelemetry.exporter", "ours.exporter", "ours.exporter"]
