"""Public holidays as dated days, by the well-kept `holidays` package.

The package takes 0.1 s to load and stays in memory then, 11 MB in the web process (measured). So
that process runs this module in another one, with a request on standard input and the days on
standard output, both JSON; a command that ends soon calls :func:`computed`.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import msgspec

from doorctl.access.calendar import StoredDay
from doorctl.config.hours import HalfHoliday
from doorctl.core.errors import NotAnsweringError

MODULE = "doorctl.extras.holidays.compute"


@dataclass(frozen=True, slots=True)
class HolidaysWanted:
    """The request.

    `also` are Danish days that count as holidays here.
    """

    years: tuple[int, ...]
    also: tuple[HalfHoliday, ...] = ()

    @property
    def known_until(self) -> date:
        """The last date that the answer covers."""
        return date(max(self.years), 12, 31)


ALSO: dict[HalfHoliday, tuple[int, int]] = {
    "workers_day": (5, 1),
    "constitution_day": (6, 5),
    "christmas_eve": (12, 24),
    "new_years_eve": (12, 31),
}
"""Month and day of days on which many close, though they are no public holidays in Denmark."""


def computed(wanted: HolidaysWanted) -> tuple[StoredDay, ...]:
    """Return each Danish public holiday in order, closed, with its name as a note.

    What the hours of a holiday are is the calendar's to say, for Sunday's may change.

    Store bededag is none since 2024. It loads the package that knows them.
    """
    years, chosen = sorted(set(wanted.years)), {ALSO[name] for name in wanted.also}
    named = _named(years, "public")
    if chosen:
        optional = _named(years, "optional")
        extra = {day: name for day, name in optional.items() if (day.month, day.day) in chosen}
        named = {**extra, **named}
    return tuple(StoredDay(day, (), name) for day, name in sorted(named.items()))


def _named(years: list[int], category: str) -> dict[date, str]:
    import holidays

    known = holidays.country_holidays("DK", years=years, language="da", categories=(category,))
    return dict(known.items())


HOLIDAYS_LIMIT_S = 60.0
"""It takes 0.5 s here; the smallest Pi, just started, may need ten times as much."""

MOST_CHARACTERS = 200

# Isolated: neither the environment nor the working directory says where code comes from.
PROGRAM = (sys.executable, "-I", "-m", MODULE)


def computed_apart(
    wanted: HolidaysWanted, *, program: Sequence[str] = PROGRAM, limit_s: float = HOLIDAYS_LIMIT_S
) -> tuple[StoredDay, ...]:
    """Return the holidays, computed by a program of its own. Thread-safe; waits for them.

    Raises NotAnsweringError: they could not be computed; says why.
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
        return msgspec.json.decode(done.stdout, type=tuple[StoredDay, ...])
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
