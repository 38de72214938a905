"""Where do functions get their settings and clients from? From here, once for each process."""

import atexit
import functools
import os

from blendrop import __version__, ports, wiring
from blendrop import settings as environment
from blendrop.redaction import Redactor
from blendrop.usecases.control import Control
from blendrop.usecases.due import Attending
from blendrop.usecases.farm import Watching
from blendrop.usecases.show import Showing
from blendrop.usecases.submit import Submission


@functools.cache
def settings() -> environment.FunctionSettings:
    """Return the function app's settings."""
    return environment.read(environment.FunctionSettings, os.environ)


@functools.cache
def redactor() -> Redactor:
    """Return what takes secrets out of what is told to anyone."""
    return Redactor(settings().secrets)


@functools.cache
def spans() -> ports.Spans:
    """Return what keeps traces."""
    made = wiring.spans(
        settings(),
        redactor(),
        resource={"service.name": "blendrop-functions", "service.version": __version__},
    )
    atexit.register(made.close)  # where the host lets its worker end by itself
    return made


@functools.cache
def _storage() -> wiring.Storage:
    # Made at the first call, inside the host's event loop: clients belong to the loop they run in,
    # and a cold start should not pay for what its first call does not need.
    return wiring.storage(settings().storage)


@functools.cache
def submission() -> Submission:
    """Return what submitting scenes, and repairing submissions, needs."""
    return wiring.submission(_storage(), settings(), spans())


@functools.cache
def showing() -> Showing:
    """Return what looking at jobs needs."""
    return wiring.showing(_storage(), settings())


@functools.cache
def control() -> Control:
    """Return what steering jobs needs."""
    return wiring.control(_storage(), settings(), spans())


@functools.cache
def attending() -> Attending:
    """Return what attending to due jobs needs."""
    return wiring.attending(_storage(), settings(), spans())


@functools.cache
def batch_queue() -> ports.BatchQueue:
    """Return the queue that batches wait on."""
    return _storage().queue


@functools.cache
def rate_counters() -> ports.RateCounters:
    """Return what counts how often clients ask."""
    return wiring.rate_counters(_storage())


@functools.cache
def clock() -> ports.Clock:
    """Return the clock."""
    return wiring.clock()


@functools.cache
def watching() -> Watching:
    """Return what looking at the farm needs."""
    return wiring.watching(_storage())
