"""When is a schedule of six fields due next?

`{second} {minute} {hour} {day} {month} {day of week}`; a field is `*`, a number, a range `1-5`, a
step `*/5` or `10-40/5`, or a list of these; months and days of the week may have English names of
three letters, and Sunday is 0. A moment is due if all six fields match (NCrontab, as Microsoft
Learn's "Timer trigger for Azure Functions" describes it). Times are UTC, as they are in Azure.
"""

import datetime
import re
from dataclasses import dataclass

from blendrop import errors


@dataclass(frozen=True)
class _Field:
    name: str
    lowest: int
    highest: int
    words: tuple[str, ...] = ()  # of the values, in order


_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_FIELDS = (
    _Field("second", 0, 59),
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day", 1, 31),
    _Field("month", 1, 12, _MONTHS),
    _Field("day of week", 0, 6, _WEEKDAYS),
)
# The longest wait for a day that exists: 29 February on a given day of the week, over a century
# that is no leap year.
_DAYS_AHEAD = 366 * 41


@dataclass(frozen=True)
class Schedule:
    """The values that each field allows, ascending."""

    seconds: tuple[int, ...]
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]  # Sunday is 0

    def next_after(self, moment: datetime.datetime) -> datetime.datetime | None:
        """Return the first due moment after `moment`; None if there is none, like 30 February."""
        earliest = moment.replace(microsecond=0) + datetime.timedelta(seconds=1)
        day = earliest.date()
        for ahead in range(_DAYS_AHEAD):
            date = day + datetime.timedelta(days=ahead)
            if not self._on(date):
                continue
            midnight = datetime.datetime.combine(date, datetime.time(), moment.tzinfo)
            due = self._within_day(midnight, max(earliest, midnight))
            if due is not None:
                return due
        return None

    def _on(self, date: datetime.date) -> bool:
        return (
            date.month in self.months
            and date.day in self.days
            and date.isoweekday() % 7 in self.weekdays
        )

    def _within_day(
        self, midnight: datetime.datetime, earliest: datetime.datetime
    ) -> datetime.datetime | None:
        for hour in self.hours:
            if hour < earliest.hour:
                continue
            for minute in self.minutes:
                if (hour, minute) < (earliest.hour, earliest.minute):
                    continue
                for second in self.seconds:
                    due = midnight.replace(hour=hour, minute=minute, second=second)
                    if due >= earliest:
                        return due
        return None


def parse(text: str) -> Schedule:
    """Read a schedule.

    Raises:
        InvalidRequestError: it does not have six fields, or one of them is wrong.
    """
    fields = text.split()
    if len(fields) != len(_FIELDS):
        raise _refused(text, f"it has {len(fields)} fields, not six")
    seconds, minutes, hours, days, months, weekdays = (
        _values(text, written, field) for written, field in zip(fields, _FIELDS, strict=True)
    )
    return Schedule(
        seconds=tuple(sorted(seconds)),
        minutes=tuple(sorted(minutes)),
        hours=tuple(sorted(hours)),
        days=frozenset(days),
        months=frozenset(months),
        weekdays=frozenset(weekdays),
    )


def _values(text: str, written: str, field: _Field) -> set[int]:
    values: set[int] = set()
    for part in written.split(","):
        match = re.fullmatch(r"(?:\*|(\w+)(?:-(\w+))?)(?:/(\d+))?", part)
        if match is None:
            raise _refused(text, f"{field.name} {part!r} cannot be read")
        first_word, last_word, step_word = match.groups()
        first = field.lowest if first_word is None else _number(text, first_word, field)
        if last_word is not None:
            last = _number(text, last_word, field)
        else:
            last = first if first_word is not None and step_word is None else field.highest
        step = int(step_word or 1)
        if not field.lowest <= first <= last <= field.highest or step < 1:
            limits = f"{field.lowest} to {field.highest}"
            raise _refused(text, f"{field.name} {part!r} is not within {limits}")
        values.update(range(first, last + 1, step))
    return values


def _number(text: str, word: str, field: _Field) -> int:
    if word.isdecimal():
        return int(word)
    if word.lower() in field.words:
        return field.words.index(word.lower()) + field.lowest
    raise _refused(text, f"{field.name} {word!r} is no number")


def _refused(text: str, reason: str) -> errors.InvalidRequestError:
    return errors.InvalidRequestError(
        errors.Problem(
            pointer="schedule",
            value=text,
            reason=reason,
            remedy="Write second, minute, hour, day, month and day of week, like 0 */5 * * * *",
        )
    )
