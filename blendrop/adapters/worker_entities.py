"""What do the rows of the workers table look like?

One partition, and a row for each life of a worker. Times are text in ISO 8601; nested values are
JSON, so that a person who looks into the table can read the rest.
"""

import json
from collections.abc import Mapping
from typing import Any

from blendrop.domain import workers

PARTITION = "workers"

Entity = dict[str, Any]
_NESTED = ("blenders", "graphics_cards", "rendering")
_LONGEST_REASON = 4_000  # characters: what is longer is in the worker's log


def of_worker(worker: workers.Worker) -> Entity:
    """Return a worker's row."""
    entity: Entity = {"PartitionKey": PARTITION, "RowKey": worker.id}
    cut = worker.model_copy(update={"left_because": worker.left_because[:_LONGEST_REASON]})
    for name, value in cut.model_dump(mode="json").items():
        entity[name] = json.dumps(value) if name in _NESTED else value
    return entity


def to_worker(entity: Mapping[str, Any]) -> workers.Worker:
    """Return the worker that a row holds."""
    given = {
        name: json.loads(entity[name]) if name in _NESTED else entity[name]
        for name in workers.Worker.model_fields
        if name in entity
    }
    return workers.Worker.model_validate(given)
