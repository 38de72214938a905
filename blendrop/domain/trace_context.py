"""Which trace does a `traceparent` name, and what kinds of spans are there?

https://www.w3.org/TR/trace-context/: `00-<trace id>-<parent id>-<flags>`, in
lower-case hexadecimal.
"""

import re
from typing import Literal

# OpenTelemetry's: who is asked, who puts something on a queue, who takes it from there.
Kind = Literal["internal", "server", "producer", "consumer"]
_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")


def trace_id(traceparent: str) -> str:
    """Return the trace that a context belongs to; nothing if it is none."""
    found = _TRACEPARENT.fullmatch(traceparent)
    if found is None or set(found[1]) == {"0"} or set(found[2]) == {"0"}:
        return ""
    return found[1]
