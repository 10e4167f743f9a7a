"""Public holidays as dated days, by the well-kept `holidays` package.

The package takes 0.1 s to load and stays in memory then, 11 MB in the web process (measured). So
that process runs this module in another one, with a request on standard input and the days on
standard output, both JSON; a command that ends soon calls :func:`computed`.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import msgspec

from doorctl.access.calendar import ALL_DAY, Cause, DatedDay, Day
from doorctl.config.hours import HalfHoliday, HolidayRule
from doorctl.core.errors import InputError, NotAnsweringError

MODULE = "doorctl.sync.holidays"


@dataclass(frozen=True, slots=True)
class HolidaysWanted:
    """The years and rules of the request; the fields are `public_holidays`'s own."""

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
    return public_holidays(wanted.years, wanted.rule, wanted.week, wanted.also)


SUNDAY = 6

ALSO: dict[HalfHoliday, tuple[int, int]] = {
    "workers_day": (5, 1),
    "constitution_day": (6, 5),
    "christmas_eve": (12, 24),
    "new_years_eve": (12, 31),
}
"""Month and day of days on which many close, though they are no public holidays in Denmark."""

LANGUAGES = {"DK": "da"}


def public_holidays(
    years: Iterable[int],
    rule: HolidayRule,
    week: tuple[Day, ...] | None,
    also: Iterable[HalfHoliday] = (),
    country: str = "DK",
) -> dict[date, DatedDay]:
    """Return each public holiday's hours, with its name in the country's language as a note.

    Store bededag is none since 2024. By `rule` a holiday is like any other day (then nothing is
    returned), closed, or a day with Sunday's hours; those are in `week`, the branch's own, None for
    self-service at all hours. `also` are Danish days that count as holidays here.

    Raises:
        InputError: the country's holidays are not known.
    """
    if rule == "ignore":
        return {}
    sunday = ALL_DAY if week is None else week[SUNDAY]
    spans: Day = () if rule == "closed" else sunday
    wanted, chosen = sorted(set(years)), {ALSO[name] for name in also}
    named = _named(country, wanted, "public")
    if chosen:
        optional = _named(country, wanted, "optional")
        extra = {day: name for day, name in optional.items() if (day.month, day.day) in chosen}
        named = {**extra, **named}
    return {day: DatedDay(spans, Cause.HOLIDAY, name) for day, name in sorted(named.items())}


def _named(country: str, years: list[int], category: str) -> dict[date, str]:
    import holidays  # noqa: PLC0415 - it costs memory, see above

    try:
        known = holidays.country_holidays(
            country, years=years, language=LANGUAGES.get(country), categories=(category,)
        )
    except (NotImplementedError, ValueError) as error:
        raise InputError(f"{country}: no {category} holidays are known; give another") from error
    return dict(known.items())


LIMIT_S = 60.0
"""It takes 0.5 s here; the smallest Pi, just started, may need ten times as much."""

MOST_CHARACTERS = 200

# Isolated: neither the environment nor the working directory says where code comes from.
PROGRAM = (sys.executable, "-I", "-m", MODULE)


def computed_apart(
    wanted: HolidaysWanted, *, program: Sequence[str] = PROGRAM, limit_s: float = LIMIT_S
) -> Mapping[date, DatedDay]:
    """Return the holidays by date. Thread-safe; waits until they are there.

    `program` reads the request on standard input, answers on standard output, and is killed after
    `limit_s`.

    Raises:
        NotAnsweringError: they could not be computed; says why.
    """
    try:
        done = subprocess.run(  # noqa: S603 - our own program
            program,
            input=msgspec.json.encode(wanted),
            capture_output=True,
            check=True,
            cwd="/",
            timeout=limit_s,
        )
        return msgspec.json.decode(done.stdout, type=dict[date, DatedDay])
    except subprocess.TimeoutExpired:
        raise _not_computed(f"it took more than {limit_s:g} s") from None
    except subprocess.CalledProcessError as error:
        raise _not_computed(_last_words(error)) from None
    except OSError as error:
        raise _not_computed(f"it can't be started: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _not_computed("what came is no list of holidays") from error


def _not_computed(why: str) -> NotAnsweringError:
    return NotAnsweringError(f"the public holidays were not computed: {why}")


def _last_words(error: subprocess.CalledProcessError) -> str:
    lines = error.stderr.decode("utf-8", "replace").strip().splitlines()
    shown = "".join(char for char in (lines or [""])[-1] if char.isprintable())[:MOST_CHARACTERS]
    return f"it ended with {error.returncode}" + (f": {shown}" if shown else "")


def main() -> None:
    """Answer one request."""
    wanted = msgspec.json.decode(sys.stdin.buffer.read(), type=HolidaysWanted)
    sys.stdout.buffer.write(msgspec.json.encode(computed(wanted)))


if __name__ == "__main__":
    main()
