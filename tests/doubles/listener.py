"""Who is told what a worker does, and writes it down?"""

from typing import Any

from blendrop import ports


class Listener(ports.Progress):
    """Writes down every call."""

    def __init__(self) -> None:
        self.heard: list[tuple[Any, ...]] = []

    def __getattribute__(self, name: str) -> Any:
        """Return what writes the call down, for each method of the port."""
        if name not in vars(ports.Progress):
            return super().__getattribute__(name)

        def write(*args: object, **named: object) -> None:
            self.heard.append((name, *args, *named.values()))

        return write
