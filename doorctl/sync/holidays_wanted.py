"""Ask for public holidays, and the program that computes them and ends.

The package that knows them stays in memory once it is loaded, 11 MB in the web process (measured).
So that process runs this module in another one, a question on standard input, the days on standard
output, both JSON; a command that ends soon calls :func:`computed`.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import msgspec

from doorctl.access.calendar import DatedDay, Day
from doorctl.config.hours import HalfHoliday, HolidayRule

MODULE = "doorctl.sync.holidays_wanted"


@dataclass(frozen=True, slots=True)
class HolidaysWanted:
    """The years and rules of the question; the fields are `public_holidays`'s own."""

    years: tuple[int, ...]
    rule: HolidayRule
    week: tuple[Day, ...] | None
    also: tuple[HalfHoliday, ...] = ()

    @property
    def known_until(self) -> date:
        """The last date that the answer covers."""
        return date(max(self.years), 12, 31)


def computed(wanted: HolidaysWanted) -> Mapping[date, DatedDay]:
    """Return the holidays by date; loads the package that knows them.

    Raises:
        InputError: the country's holidays are not known.
    """
    from doorctl.sync.public_holidays import public_holidays  # noqa: PLC0415 - it costs memory, see above

    return public_holidays(wanted.years, wanted.rule, wanted.week, wanted.also)


def written(wanted: HolidaysWanted) -> bytes:
    """Return the question as the program reads it."""
    return msgspec.json.encode(wanted)


def read(answer: bytes) -> Mapping[date, DatedDay]:
    """Read the program's answer; raises msgspec.DecodeError if it is none."""
    return msgspec.json.decode(answer, type=dict[date, DatedDay])


def main() -> None:
    """Answer one question."""
    wanted = msgspec.json.decode(sys.stdin.buffer.read(), type=HolidaysWanted)
    sys.stdout.buffer.write(msgspec.json.encode(computed(wanted)))


if __name__ == "__main__":
    main()
