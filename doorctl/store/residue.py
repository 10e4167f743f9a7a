"""Search the files of the door log for what a purge may have left.

The search is a program of its own because of a trap: closing a file drops all POSIX locks that the
process has on it, SQLite's too (its "how to corrupt", section 2.2). The door would lose the lock by
which another process knows that the WAL is in use. A process that only searches has no lock to
lose, and its memory and its hold on Python's interpreter end with it.

``python -I -m doorctl.store.residue`` reads a :class:`Wanted` as JSON on standard input and writes
a :class:`Findings`. The byte strings are in no argument and come back only as numbers.
"""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import msgspec

from doorctl.core.errors import StoreError
from doorctl.privacy.purge_proof import Found
from doorctl.store.kept import copy_of

CHUNK_BYTES = 1 << 20
BLOCK_BYTES = 8
"""Bytes that are compared at once, as one number. A key of 16 bytes covers one whole block wherever
it stands, so 1.5 MB take 10 ms and not the quarter of a second of looking at every byte."""

KEY_BYTES = 16
TIME_BYTES = 6
_CARRIED_BYTES = 2 * BLOCK_BYTES
"""Bytes of the chunk before, so that a needle across two is found; keeps blocks aligned."""

BATCH = 10_000
"""Keys looked for in one reading: their blocks take some 10 MB."""

NICENESS = 10
"""Below the door and web; with 19 a search of half a second took 30 s on a busy machine."""


class Wanted(msgspec.Struct, frozen=True):
    """A request: row keys of 16 bytes or times of 6, in hex, and paths that may be missing."""

    needles: list[str]
    files: list[str]

    def __repr__(self) -> str:
        return f"Wanted({len(self.needles)})"


class Findings(msgspec.Struct, frozen=True):
    """The answer: the found needles' places in :class:`Wanted`, and what was read."""

    found: list[int]
    bytes_read: int
    files: list[str]


Finder = Callable[[bytes], set[bytes]]


def found_in(files: Iterable[Path], needles: Iterable[bytes]) -> tuple[set[bytes], int, list[str]]:
    """Return the needles found in any of the files, the bytes read, and the names of files read.

    Raises OSError: a file that exists could not be read. ValueError: a needle has an unknown
    length.
    """
    finders = _finders(sorted(needles))
    found: set[bytes] = set()
    bytes_read, names = 0, []
    for path in files:
        try:
            file = path.open("rb")
        except FileNotFoundError:
            continue
        with file:
            for finder in finders:
                file.seek(0)
                found.update(*map(finder, _chunks(file)))
            bytes_read += file.seek(0, os.SEEK_END)
        names.append(path.name)
    return found, bytes_read, names


def main() -> None:
    """Answer one request, at a low priority."""
    # The door's unit may forbid it: then the search is as important as a purge.
    with suppress(OSError):
        os.nice(NICENESS)
    wanted = msgspec.json.decode(sys.stdin.buffer.read(), type=Wanted)
    needles = [bytes.fromhex(needle) for needle in wanted.needles]
    files = map(Path, wanted.files)
    found, bytes_read, names = found_in(files, needles)
    places = [place for place, needle in enumerate(needles) if needle in found]
    sys.stdout.buffer.write(msgspec.json.encode(Findings(places, bytes_read, names)))


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    carried = b""
    while chunk := file.read(CHUNK_BYTES):
        yield carried + chunk
        carried = chunk[-_CARRIED_BYTES:] if len(chunk) == CHUNK_BYTES else b""


def _finders(needles: Sequence[bytes]) -> list[Finder]:
    keys = [needle for needle in needles if len(needle) == KEY_BYTES]
    times = {needle for needle in needles if len(needle) == TIME_BYTES}
    if len(keys) + len(times) != len(set(needles)):
        raise ValueError(f"a needle is {KEY_BYTES} or {TIME_BYTES} bytes long")
    batches = (keys[first : first + BATCH] for first in range(0, len(keys), BATCH))
    finders = [_key_finder(batch) for batch in batches]
    return [*finders, _time_finder(times)] if times else finders


def _key_finder(keys: Sequence[bytes]) -> Finder:
    # The keys that have a block, one behind the other: blocks of real keys are in one alone.
    holders: dict[int, bytes] = {}
    for key in keys:
        for first in range(BLOCK_BYTES):
            block = int.from_bytes(key[first : first + BLOCK_BYTES], sys.byteorder)
            holders[block] = holders.get(block, b"") + key

    def find(chunk: bytes) -> set[bytes]:
        whole = len(chunk) // BLOCK_BYTES * BLOCK_BYTES
        met = holders.keys() & set(memoryview(chunk)[:whole].cast("Q"))
        suspects = b"".join(holders[block] for block in met)
        cuts = range(0, len(suspects), KEY_BYTES)
        return {key for cut in cuts if (key := suspects[cut : cut + KEY_BYTES]) in chunk}

    return find


def _time_finder(times: set[bytes]) -> Finder:
    # All times of seven weeks begin with the same two bytes: few places have to be looked at.
    beginnings = b"|".join(re.escape(two) for two in sorted({time[:2] for time in times}))
    pattern = re.compile(b"(?=((?:" + beginnings + b").{4}))", re.DOTALL)

    def find(chunk: bytes) -> set[bytes]:
        return {match[1] for match in pattern.finditer(chunk)} & times

    return find


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
    release: Path = Path(sys.prefix),
) -> Found:
    """Look for row keys and times in a database, in SQLite's files beside it, and in leftovers.

    Also in the copy from before an upgrade, while `release` or another one is on trial. The
    database may be open in this process. Copies that were set aside as damaged are not read:
    they are kept for a day as evidence. The program is killed after `limit_s`. Raises StoreError:
    the search failed, so nothing is proved.
    """
    listed = sorted(needles)
    wanted = Wanted([needle.hex() for needle in listed], _files(database, release))
    try:
        done = subprocess.run(  # noqa: S603 - our own program
            program,
            input=msgspec.json.encode(wanted),
            capture_output=True,
            check=True,
            cwd="/",
            timeout=limit_s,
        )
        seen = msgspec.json.decode(done.stdout, type=Findings)
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
    """Yield paths of deleted files that this process has open: SQLite unlinks temporary files."""
    own = Path(f"/proc/{os.getpid()}/fd")
    for entry in own.iterdir():
        try:
            target, mode = str(entry.readlink()), entry.stat().st_mode
        except FileNotFoundError:
            continue  # Closed meanwhile.
        deleted = target.endswith(DELETED) and not target.startswith(NO_FILE)
        if deleted and stat.S_ISREG(mode):
            yield entry


def _files(database: Path, release: Path) -> list[str]:
    named = filter(None, map(os.environ.get, ("SQLITE_TMPDIR", "TMPDIR")))
    places = [database.parent, *map(Path, (*named, *PLACES))]
    beside = [database.with_name(database.name + suffix) for suffix in BESIDE]
    beside.append(copy_of(database, release))
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


if __name__ == "__main__":
    main()
