"""What this machine says of its disk and its power supply."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path

LEAST_FREE_BYTES = 200 * 1024 * 1024
"""Room for a register of 100 000 to be taken in beside the old one, and for a purge."""

HWMON = Path("/sys/class/hwmon")


def disk_low(directory: Path) -> str | None:
    """Return how little room is left where `directory` lies; None where it is enough.

    Raises:
        OSError: the disk does not say.
    """
    free = shutil.disk_usage(directory).free
    if free >= LEAST_FREE_BYTES:
        return None
    return f"{free // 1_048_576} MiB are free where {directory} lies"


def undervoltage(hwmon: Path = HWMON) -> str | None:
    """Return that a Raspberry Pi's supply is too weak; None where it isn't, or on other machines.

    The kernel's driver ``rpi_volt`` sets ``in0_lcrit_alarm`` below 4.63 V.
    """
    for name in hwmon.glob("*/name"):
        with suppress(OSError):
            if name.read_text().strip() == "rpi_volt":
                low = (name.parent / "in0_lcrit_alarm").read_text().strip() == "1"
                return "the supply falls below 4.63 V" if low else None
    return None
