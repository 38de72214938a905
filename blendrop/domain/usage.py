"""What does rendering use of the cloud, in the units that it is billed in?"""

import collections
from collections.abc import Mapping

from blendrop.domain import record

# How the accounts bill their operations (Azure's pricing pages of blobs, queues and tables, and
# Microsoft Learn, "Understand Azure Files billing"). Deleting a blob is free, and in no class.
_CLASSES: Mapping[tuple[str, str], str] = {
    ("queue", "Put Message"): "queue_class_1",
    ("queue", "Update Message"): "queue_class_1",
    ("queue", "Delete Message"): "queue_class_1",
    ("queue", "Clear Messages"): "queue_class_1",
    ("queue", "Create Queue"): "queue_class_1",
    ("queue", "Delete Queue"): "queue_class_1",
    ("queue", "List Queues"): "queue_class_1",
    ("queue", "Get Messages"): "queue_class_2",
    ("queue", "Peek Messages"): "queue_class_2",
    ("queue", "Get Queue Metadata"): "queue_class_2",
    ("table", "Entity Group Transaction"): "table_batch_write",
    ("table", "Query Entities"): "table_read",
    ("table", "Query Tables"): "table_read",
    ("table", "Delete Entity"): "table_delete",
    ("table", "Delete Table"): "table_delete",
    ("table", "Insert Entity"): "table_write",
    ("table", "Insert Or Replace Entity"): "table_write",
    ("table", "Insert Or Merge Entity"): "table_write",
    ("table", "Update Entity"): "table_write",
    ("table", "Merge Entity"): "table_write",
    ("table", "Create Table"): "table_write",
    ("blob", "Put Blob"): "blob_write",
    ("blob", "Put Block"): "blob_write",
    ("blob", "Put Block List"): "blob_write",
    ("blob", "List Blobs"): "blob_list",
    ("blob", "List Containers"): "blob_list",
    ("blob", "Create Container"): "blob_list",
    ("blob", "Get Blob"): "blob_read",
    ("blob", "Get Blob Properties"): "blob_other",
    ("blob", "Get Container Properties"): "blob_other",
    ("blob", "Get User Delegation Key"): "blob_other",
    ("file", "Create"): "file_write",
    ("file", "SetInfo"): "file_write",
    ("file", "Write"): "file_write",
    ("file", "Flush"): "file_write",
    ("file", "QueryDirectory"): "file_read",
    ("file", "QueryInfo"): "file_read",
    ("file", "Close"): "file_other",
}
_FREE = frozenset({("blob", "Delete Blob"), ("blob", "Delete Container")})
_ROWS_AT_ONCE = 100  # in a transaction


class Usage(record.Record):
    """Machines for a time, and operations of the storage account."""

    worker_seconds: float = 0.0
    vcpu_seconds: float = 0.0
    gib_seconds: float = 0.0  # of memory
    # By the card's name, and by the class that they are billed in.
    gpu_seconds: dict[str, float] = {}  # noqa: RUF012 a model copies its defaults
    transactions: dict[str, int] = {}  # noqa: RUF012

    def plus(self, other: "Usage") -> "Usage":
        """Return both together."""
        return Usage(
            worker_seconds=self.worker_seconds + other.worker_seconds,
            vcpu_seconds=self.vcpu_seconds + other.vcpu_seconds,
            gib_seconds=self.gib_seconds + other.gib_seconds,
            gpu_seconds=_sum(self.gpu_seconds, other.gpu_seconds),
            transactions=_sum(self.transactions, other.transactions),
        )

    def rounded(self) -> "Usage":
        """Return it as it is shown, to the millisecond."""
        return Usage(
            worker_seconds=round(self.worker_seconds, 3),
            vcpu_seconds=round(self.vcpu_seconds, 3),
            gib_seconds=round(self.gib_seconds, 3),
            gpu_seconds={card: round(time, 3) for card, time in self.gpu_seconds.items()},
            transactions=self.transactions,
        )


class Machine(record.Record):
    """How large a worker is."""

    cpus: float
    memory_gib: float
    graphics_cards: tuple[str, ...] = ()

    def used_for(self, seconds: float, transactions: Mapping[str, int]) -> Usage:
        """Return what it is to have the machine for so long, and to make these calls."""
        cards = collections.Counter(self.graphics_cards)
        return Usage(
            worker_seconds=seconds,
            vcpu_seconds=self.cpus * seconds,
            gib_seconds=self.memory_gib * seconds,
            gpu_seconds={card: count * seconds for card, count in cards.items()},
            transactions=dict(transactions),
        )


def billed_as(service: str, operation: str) -> str:
    """Return the class in which an operation is billed; empty: it is free."""
    if (service, operation) in _FREE:
        return ""
    return _CLASSES.get((service, operation), f"{service}_unknown")


def of_planning(batch_count: int) -> Usage:
    """Return about what the functions need for a job that was uploaded and goes well.

    They do not count for whom they call. This is what the code does: it looks at the scene, adds
    the job with its lists, the rows of batches and their messages, and reads the rows a few times.
    """
    groups = -(-batch_count // _ROWS_AT_ONCE)
    return Usage(
        transactions={
            "blob_other": 1,
            "blob_read": 1,
            "table_write": 2,
            "table_batch_write": groups + 2,
            "table_read": 3,
            "queue_class_1": batch_count,
        }
    )


def _sum(one: Mapping[str, "int | float"], other: Mapping[str, "int | float"]) -> dict[str, float]:
    return {name: one.get(name, 0) + other.get(name, 0) for name in sorted({*one, *other})}
