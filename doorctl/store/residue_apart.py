"""The search for what a purge left, in a process of its own; see `doorctl.store.residue`."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from doorctl.core.errors import StoreError
from doorctl.privacy.proof import Found
from doorctl.store.residue import Seen, Wanted

LIMIT_S = 120.0
"""3 MB take a tenth of a second here and most of it is Python's start; an SD card of the slowest
sort reads 150 MB in this time, which is 30 days of 50 000 visits."""

# Isolated: neither the environment nor the working directory says where code comes from.
PROGRAM = (sys.executable, "-I", "-m", "doorctl.store.residue")

BESIDE = ("", "-wal", "-shm", "-journal")
TEMPORARY = "etilqs_*"
"""SQLite's temporary files."""

DELETED = " (deleted)"
NO_FILE = "/memfd:"
"""How the kernel marks an open file without a name, and memory that never had one."""

PLACES = ("/var/tmp", "/usr/tmp", "/tmp")  # noqa: S108 - nothing is written there


def search_apart(
    database: Path,
    needles: frozenset[bytes],
    *,
    program: Sequence[str] = PROGRAM,
    limit_s: float = LIMIT_S,
) -> Found:
    """Look for row keys and times in a database, in SQLite's files beside it, and in leftovers.

    The database may be open in this process. Copies that were set aside as damaged are not read:
    they are kept for a day as evidence. The program is killed after `limit_s`.

    Raises:
        StoreError: the search failed, so nothing is proved.
    """
    listed = sorted(needles)
    wanted = Wanted([needle.hex() for needle in listed], _files(database))
    try:
        done = subprocess.run(  # noqa: S603 - our own program
            program,
            input=msgspec.json.encode(wanted),
            capture_output=True,
            check=True,
            cwd="/",
            timeout=limit_s,
        )
        seen = msgspec.json.decode(done.stdout, type=Seen)
        found = frozenset(listed[place] for place in seen.found)
    except subprocess.TimeoutExpired:
        raise _failed(f"it took more than {limit_s:g} s") from None
    except subprocess.CalledProcessError as error:
        # Its last words may quote anything.
        raise _failed(f"it ended with {error.returncode}") from None
    except OSError as error:
        raise _failed(f"it can't be started: {error.strerror}") from error
    except (msgspec.DecodeError, IndexError):
        raise _failed("it gave no answer") from None
    return Found(found, seen.bytes_read, tuple(seen.files))


def nameless() -> Iterator[Path]:
    """Yield paths under which another process can read the deleted files that this one has open.

    SQLite unlinks its temporary files as soon as they are open.
    """
    own = Path(f"/proc/{os.getpid()}/fd")
    for entry in own.iterdir():
        try:
            target, mode = str(entry.readlink()), entry.stat().st_mode
        except FileNotFoundError:
            continue  # Closed meanwhile.
        deleted = target.endswith(DELETED) and not target.startswith(NO_FILE)
        if deleted and stat.S_ISREG(mode):
            yield entry


def _files(database: Path) -> list[str]:
    named = filter(None, map(os.environ.get, ("SQLITE_TMPDIR", "TMPDIR")))
    places = [database.parent, *map(Path, (*named, *PLACES))]
    beside = [database.with_name(database.name + suffix) for suffix in BESIDE]
    # Anybody may put something else there under such a name: a pipe would be read for ever.
    temporary = {file for place in places for file in place.glob(TEMPORARY) if _is_file(file)}
    return [str(file.absolute()) for file in (*beside, *sorted(temporary), *nameless())]


def _is_file(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except FileNotFoundError:
        return False


def _failed(why: str) -> StoreError:
    return StoreError(f"the files of the door log were not searched: {why}")
