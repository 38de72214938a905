"""How does a part of this program say that something cannot be done?"""


class RefusedError(Exception):
    """What cannot be done, with its class (a value of `errors.FailureClass`), reason and remedy."""

    def __init__(self, failure_class: str, reason: str, remedy: str) -> None:
        super().__init__(f"{reason}. {remedy}.")
        self.failure_class = failure_class
        self.reason = reason
        self.remedy = remedy


def named(names: list[str]) -> str:
    """Return names as text for a person, cut where there are many."""
    shown = ", ".join(repr(name) for name in sorted(names)[:20])
    return f"{shown} and {len(names) - 20} more" if len(names) > 20 else shown or "none"
