"""The configuration read again, and what the log says of its changes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import msgspec

from doorctl.config import Config, reload
from doorctl.config.extras import UNLOGGED
from doorctl.config.loading import when_absent
from doorctl.core.errors import (
    ConfigError,
    Problem,
)
from doorctl.core.ports import EventLog
from doorctl.store.connection import write_over


def read_again(
    running: Config, environment: Mapping[str, str], log: EventLog
) -> tuple[Config, str] | None:
    """Read a changed file; return the configuration from now on and the names of its new keys.

    Returns None where the file is wrong. One `config` line says what is wrong or needs a restart.
    """
    try:
        config, taken, others = reload(running, environment)
    except ConfigError as err:
        why = "; ".join(map(_what_is_wrong, err.problems))
        log.emit("config", state="refused", why=f"nothing was changed: {why}")
        return None
    if others:
        log.emit("config", state="restart_needed", why=", ".join(others))
    return config, ", ".join(taken)


def _what_is_wrong(problem: Problem) -> str:
    # A problem quotes what it found, `where` begins with the table.
    if re.split(r"\W", problem.where, maxsplit=1)[0] in UNLOGGED:
        return f"{problem.where}: see `doorctl check-config`"
    return str(problem)


def tell_taken(taken: str, log: EventLog) -> None:
    """Log which keys are in force now that were not before."""
    log.emit("config", state="taken", why=taken or "nothing has changed that needs no restart")


def tell_changes(config: Config, path: Path, log: EventLog) -> None:
    """Log each key that differs from the last time this process began, one line a key.

    Nothing is logged at the first start, nor where the last values can't be read; what can't be
    written is logged again. `path` keeps the values, in each process's own directory.
    """
    now = {name: _as_text(name, value) for name, value in config.origin.values.items()}
    try:
        before = msgspec.json.decode(path.read_bytes(), type=dict[str, str])
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        before = None
    last = now if before is None else before
    for name in {**last, **now}:
        old, new = (state.get(name) or _absent(name) for state in (last, now))
        if old == new:
            continue
        values = "" if name.partition(".")[0] in UNLOGGED else f": {new}, it was {old}"
        log.emit("config", state="changed", why=f"{name}{values}")
    with suppress(OSError):
        if before != now:
            write_over(path, msgspec.json.encode(now))


def _absent(name: str) -> str:
    value = when_absent(name)
    return "absent" if value is None else _as_text(name, value)


def _as_text(name: str, value: object) -> str:
    written = msgspec.json.encode(value, enc_hook=str)
    if name.partition(".")[0] in UNLOGGED:
        return sha256(written).hexdigest()
    return written.decode()
