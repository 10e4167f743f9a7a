"""What the machine says of its disk and its supply."""

from __future__ import annotations

from pathlib import Path

import pytest

from doorctl.ops.machine import LEAST_FREE_BYTES, disk_low, undervoltage


def sensor(hwmon: Path, number: int, name: str, low: str | None) -> None:
    """Make one as the kernel shows it."""
    directory = hwmon / f"hwmon{number}"
    directory.mkdir()
    (directory / "name").write_text(f"{name}\n")
    if low is not None:
        (directory / "in0_lcrit_alarm").write_text(f"{low}\n")


@pytest.mark.parametrize(("low", "told"), [("1", True), ("0", False), (None, False)])
def test_a_supply_that_is_too_weak_is_told(tmp_path: Path, low: str | None, *, told: bool) -> None:
    """By the Pi's own sensor alone; one that can't be read says nothing."""
    sensor(tmp_path, 0, "cpu_thermal", "1")
    sensor(tmp_path, 1, "rpi_volt", low)

    assert (undervoltage(tmp_path) is not None) is told


def test_a_machine_without_that_sensor_says_nothing(tmp_path: Path) -> None:
    """Nor does one whose folder is missing."""
    sensor(tmp_path, 0, "cpu_thermal", "1")

    assert undervoltage(tmp_path) is None
    assert undervoltage(tmp_path / "none") is None


def test_a_disk_is_low_by_what_is_free_on_it(tmp_path: Path) -> None:
    """A file system that is nearly full by itself is told with how much is left."""
    assert disk_low(tmp_path) is None
    with pytest.raises(OSError, match="none"):
        disk_low(tmp_path / "none")
    # The kernel's own small file system: it has no room at all.
    assert LEAST_FREE_BYTES > 0
    assert (disk_low(Path("/proc")) or "").startswith("0 MiB are free where /proc lies")
