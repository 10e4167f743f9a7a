"""The support bundle, which is sent to those who help.

Nothing in it is personal, whatever was read. Only what is on a list is let through: numbers
of few digits, and words of a vocabulary that is written here or in the code. A free text is never
shown, not even an alarm's reason: it may quote anything. Visits are left out; the page Statistics
has what may be known of them.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import msgspec
from msgspec import inspect

import doorctl
from doorctl.access.calendar import Cause, Mode
from doorctl.config import Config
from doorctl.config.loading import keys
from doorctl.core.alarms import KINDS
from doorctl.core.errors import (
    DoorctlError,
    InputError,
    NotRunningError,
)
from doorctl.core.identity import as_root
from doorctl.core.moments import ClockState
from doorctl.lookup.health import alarms_standing
from doorctl.ops.machine import DataDisk, undervoltage
from doorctl.rpc import status as questions
from doorctl.rpc.question import Nothing

LINES = 500
UNITS = "doorctl-door", "doorctl-web"

LONGEST_NUMBER = 999_999
"""A telephone number has eight digits, and a card or a person ten."""

STATUS = ("version", "deciding", "reader", "keypad", "clock", "epoch", "cache_age_s")

EVENTS: Mapping[str, tuple[str, ...]] = {
    "ready": ("version", "epoch", "clock"),
    "alarm": ("kind", "dropped"),
    "reader": ("state",),
    "keypad": ("state",),
    "config": ("state",),
    "mode": ("state", "cause"),
    "push": ("epoch", "result"),
    "purge": ("complete", "postponed"),
}
"""Line of the log -> what is shown of it; any other is left out, and so is a silent call for
help."""

SYSTEMD = ("JOB_TYPE", "JOB_RESULT", "EXIT_CODE", "EXIT_STATUS")
"""What the first process says of a unit; its sentences are left out."""

WORDS = frozenset(
    {
        *(kind for kind, known in KINDS.items() if not known.wordless),
        *(value.value for kind in (Mode, Cause, ClockState) for value in kind),
        *("connected", "lost", "taken", "restart_needed", "refused", "changed"),
        doorctl.__version__,
        *("applied", "unchanged", "rehearsed", "guarded", "invalid", "conflict", "out_of_order"),
        *("unsigned", "too_large", "too_slow", "cut_off", "failed"),
        *("start", "stop", "restart", "done", "canceled", "timeout", "exited", "killed", "dumped"),
        *("debian", "raspbian", "ubuntu"),
    }
)

NUMBERS = frozenset({"epoch", "dropped", "EXIT_STATUS"})
"""The fields that may be one; a PIN has four digits."""

_EXITS = frozenset(map(str, range(256)))

_FRAME = re.compile(r'  File "[^"]*/doorctl/([a-z_/]{1,60}\.py)", line (\d{1,4})')


def bundle(config: Config) -> str:
    """Return the text. Raises InputError: the journal can't be read, with what to do."""
    sections = {
        "versions": _versions(),
        "machine": _machine(config),
        "status": _status(config),
        "configuration": _configured(config),
        f"journal, the last {LINES} lines": _journal(),
    }
    return "\n".join(f"== {name}\n{chr(10).join(lines)}\n" for name, lines in sections.items())


def harmless(value: object) -> str:
    """Return a value as it may be shown; ``…`` for one that may hold something personal."""
    if value is None or isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float | int) and abs(value) <= LONGEST_NUMBER:
        return f"{value:g}" if isinstance(value, float) else str(value)
    return value if isinstance(value, str) and value in WORDS else "…"


def _versions() -> Iterator[str]:
    system = {}
    with suppress(OSError):
        system = platform.freedesktop_os_release()
    release = system.get("VERSION_ID", "")
    number = int(release) if release.isdecimal() else None
    yield f"system {harmless(system.get('ID'))} {harmless(number)}"
    yield f"kernel {platform.release()} {platform.machine()}, python {platform.python_version()}"
    yield f"doorctl {doorctl.__version__}"
    for wanted in metadata.requires("doorctl") or ():
        if "extra ==" not in wanted:
            name = re.split(r"[^A-Za-z0-9_-]", wanted, maxsplit=1)[0]
            yield f"{name} {metadata.version(name)}"


def _machine(config: Config) -> Iterator[str]:
    with suppress(DoorctlError):
        yield f"free {DataDisk(config.storage.directory).free_bytes() // 1_048_576} MiB"
    yield f"processors {os.cpu_count()}, supply {undervoltage() or 'not known to be weak'}"


def _status(config: Config) -> Iterator[str]:
    state: dict[str, Any] = {}
    try:
        state = questions.STATUS.ask(config.control.socket, Nothing())
    except NotRunningError:
        yield "the door process is not running, or this user may not ask it"
    except DoorctlError:
        yield "the door process does not answer"
    for name in STATUS:
        yield f"{name} {harmless(state.get(name))}"
    for alarm in alarms_standing(config, state.get("alarms", [])) or ():
        if alarm.kind in WORDS:
            yield f"alarm {alarm.kind}"


def _configured(config: Config) -> Iterator[str]:
    known = {key.name: key for table in keys().values() for key in table.values()}
    for name, value in config.origin.values.items():
        key = known.get(name)
        if key is not None and value == key.default:
            yield f"{name} as it comes"
        elif isinstance(value, bool | int | float):
            yield f"{name} = {harmless(value)}"
        elif key is not None and isinstance(inspect.type_info(key.annotation), inspect.LiteralType):
            yield f"{name} = {value}"
        else:
            yield f"{name} is given"


def _journal() -> Iterator[str]:
    program = shutil.which("journalctl")
    if program is None:
        raise InputError("there is no journalctl here; run this on the door's own machine")
    units = [word for unit in UNITS for word in ("-u", unit)]
    with as_root():
        found = subprocess.run(  # noqa: S603 - systemd's own program, with constant words
            [program, "--no-pager", "-q", "-o", "json", "-n", str(LINES), *units],
            capture_output=True,
            check=False,
        )
    if found.returncode:
        raise InputError("the journal can't be read; run this as root: sudo doorctl support-bundle")
    yield from filter(None, map(_line, found.stdout.splitlines()))


def _line(line: bytes) -> str | None:
    with suppress(msgspec.MsgspecError, KeyError, ValueError, TypeError, OverflowError, OSError):
        entry = msgspec.json.decode(line, type=dict[str, Any])
        shown = _shown(entry, str(entry["MESSAGE"]))
        at = datetime.fromtimestamp(int(entry["__REALTIME_TIMESTAMP"]) // 1_000_000, UTC)
        return f"{at:%Y-%m-%d %H:%M:%S} {shown}" if shown else None
    return None


def _shown(entry: Mapping[str, Any], message: str) -> str | None:
    if entry.get("_COMM") == "systemd":
        words = {name: entry[name] for name in SYSTEMD if name in entry}
        values = {name: int(word) if word in _EXITS else word for name, word in words.items()}
        return f"systemd {_fields(values, SYSTEMD)}" if values else None
    if frame := _FRAME.match(message):
        there = Path(doorctl.__file__).parent.joinpath(frame[1]).is_file()
        return f"{frame[1]}:{frame[2]}" if there else None
    values = msgspec.json.decode(message, type=dict[str, Any])
    names = EVENTS.get(str(values["event"]))
    if names is None or ("kind" in names and values.get("kind") not in WORDS):
        return None
    return f"{values['event']} {_fields(values, names)}"


def _fields(values: Mapping[str, Any], names: tuple[str, ...]) -> str:
    there = ((name, values[name]) for name in names if name in values)
    return " ".join(
        f"{name}={harmless(value) if name in NUMBERS or isinstance(value, bool | str) else '…'}"
        for name, value in there
    )
