"""How does the CLI speak: to a person at a terminal, into a file, or to a program?

Answers go to stdout, what is said about the way to them goes to stderr. Text of others (names,
reasons, Blender's output) is shown without control characters, which could move a terminal's
cursor, or worse.
"""

import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence

import rich.console
import rich.table
import rich.text

from blendrop.cli import views

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_WIDE = 400  # columns where nobody's terminal bounds them


class Terminal:
    """Where a command writes."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self.live = sys.stdout.isatty() and not as_json
        self.out = rich.console.Console(width=None if self.live else _WIDE)
        self.err = rich.console.Console(stderr=True)

    def say(self, line: str = "") -> None:
        """Write a line of the answer."""
        self.out.print(plain(line), markup=False, highlight=False, soft_wrap=True)

    def tell(self, line: str) -> None:
        """Write a line about how it goes."""
        self.tell_more(f"blendrop: {line}")

    def tell_more(self, line: str) -> None:
        """Write a line that belongs to the one before it."""
        self.err.print(plain(line), markup=False, highlight=False, soft_wrap=True)

    def document(self, answer: Mapping[str, object]) -> None:
        """Write the answer for a program: one line of JSON."""
        sys.stdout.write(json.dumps(answer, ensure_ascii=False) + "\n")
        sys.stdout.flush()

    def text(self, lines: str) -> None:
        """Write text as it is, but for control characters."""
        sys.stdout.write(plain(lines if lines.endswith("\n") or not lines else f"{lines}\n"))
        sys.stdout.flush()

    def table(self, heads: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Write rows under heads."""
        table = rich.table.Table(box=None, pad_edge=False, header_style="bold")
        for head in heads:
            table.add_column(rich.text.Text(head), overflow="fold")
        for row in rows:
            table.add_row(*(rich.text.Text(plain(_cell(cell))) for cell in row))
        self.out.print(table)

    def details(self, answer: views.Json, *, indent: str = "") -> None:
        """Write an answer of any shape: a line for each value, a table for each list."""
        width = max((len(key) for key in answer), default=0)
        for key, value in answer.items():
            name = key.replace("_", " ")
            if isinstance(value, dict) and value:
                self.say(f"{indent}{name}")
                self.details(value, indent=f"{indent}  ")
            elif isinstance(value, list) and value and all(isinstance(one, dict) for one in value):
                self.say(f"{indent}{name}")
                self.rows(value)
            else:
                self.say(f"{indent}{name:{width}}  {_cell(value)}")

    def rows(self, rows: Sequence[views.Json]) -> None:
        """Write objects of like shape as a table."""
        heads = list(dict.fromkeys(key for row in rows for key in row))
        self.table(
            [head.replace("_", " ") for head in heads],
            [[row.get(head) for head in heads] for row in rows],
        )


def plain(text: str) -> str:
    """Return text that only shows, and does nothing to a terminal."""
    return _CONTROL.sub("�", text.replace("\r\n", "\n"))


def _cell(value: object) -> str:
    match value:
        case None | "" | [] | {}:
            return "-"
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.2f}"
        case list():
            return ", ".join(_cell(one) for one in value)
        case dict():
            return " ".join(f"{key}={_cell(one)}" for key, one in value.items())
    return str(value)


def duration(seconds: float) -> str:
    """Return a span of time as a person says it: `45 s`, `12 min`, `3 h 20 min`."""
    whole = round(seconds)
    if whole < 120:
        return f"{whole} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def money(amount: float) -> str:
    """Return an amount of money, a fraction of a cent to two digits."""
    return f"{amount:.2f}" if amount >= 1 or not amount else f"{amount:.2g}"


def size(count: int) -> str:
    """Return a number of bytes as a person says it."""
    amount = float(count)
    for unit in ("bytes", "KiB", "MiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "bytes" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} GiB"
