"""Public holidays computed in a process of their own, which takes its 30 MB with it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import date

import msgspec

from doorctl.access.calendar import DatedDay
from doorctl.core.errors import NotAnsweringError
from doorctl.sync.holidays_wanted import MODULE, HolidaysWanted, read, written

LIMIT_S = 60.0
"""It takes 0.5 s here; the smallest Pi, just started, may need ten times as much."""

TOLD_CHARACTERS = 200

# Isolated: neither the environment nor the working directory says where code comes from.
PROGRAM = (sys.executable, "-I", "-m", MODULE)


def computed_apart(
    wanted: HolidaysWanted, *, program: Sequence[str] = PROGRAM, limit_s: float = LIMIT_S
) -> Mapping[date, DatedDay]:
    """Return the holidays by date. Thread-safe; waits until they are there.

    `program` reads the question on standard input, answers on standard output, and is killed
    after `limit_s`.

    Raises:
        NotAnsweringError: they could not be computed; says why.
    """
    try:
        done = subprocess.run(  # noqa: S603 - our own program
            program,
            input=written(wanted),
            capture_output=True,
            check=True,
            cwd="/",
            timeout=limit_s,
        )
        return read(done.stdout)
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
    shown = "".join(char for char in (lines or [""])[-1] if char.isprintable())[:TOLD_CHARACTERS]
    return f"it ended with {error.returncode}" + (f": {shown}" if shown else "")
