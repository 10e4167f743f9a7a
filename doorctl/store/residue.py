"""What a purge may have left: search for it, keep the signed reports, trim.

The search is a program of its own because of a trap: closing a file drops all POSIX locks that the
process has on it, SQLite's too (its "how to corrupt", section 2.2). The door would lose the lock by
which another process knows that the WAL is in use. A process that only searches has no lock to
lose, and its memory and its hold on Python's interpreter end with it.

``python -I -m doorctl.store.residue`` reads a :class:`Wanted` as JSON on standard input and writes
a :class:`Seen`. The byte strings are in no argument and come back only as numbers.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import stat
import struct
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import BinaryIO

import msgspec

from doorctl.core.errors import StoreError
from doorctl.core.identity import as_root
from doorctl.privacy.purge_proof import Found, Trim
from doorctl.store.connection import create_private, opened
from doorctl.store.damage.set_aside import STAMP_CHARACTERS, stamp
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


class Seen(msgspec.Struct, frozen=True):
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
    sys.stdout.buffer.write(msgspec.json.encode(Seen(places, bytes_read, names)))


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


REPORTS_KEPT = timedelta(days=183)
"""Six months, as long as staff's own traces are kept: what an inspection asks for."""

LARGEST_BYTES = 64 * 1024
"""A report has under 1 KiB."""


class PurgeReports:
    """Keep reports, which name nobody, in a directory, mode 0700, a file 0600 each. One thread."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def keep(self, content: bytes, at: datetime) -> Path:
        """Write a signed report, durably, and delete those older than :data:`REPORTS_KEPT`."""
        try:
            self._make_directory()
            for file in self._directory.glob("*.json"):
                if file.name[:STAMP_CHARACTERS] < stamp(at - REPORTS_KEPT):
                    file.unlink()
            return self._written(content, f"{stamp(at)}Z")
        except OSError as error:
            raise StoreError(
                f"{self._directory}: a purge report can't be written: {error.strerror}"
            ) from error

    def _make_directory(self) -> None:
        try:
            self._directory.mkdir(mode=0o700)
        except FileExistsError:
            # A link may lead anywhere: it is no shelf.
            with opened(self._directory, os.O_DIRECTORY | os.O_NOFOLLOW):
                pass

    def _written(self, content: bytes, stamp: str) -> Path:
        for number in count():
            path = self._directory / (f"{stamp}.json" if not number else f"{stamp}.{number}.json")
            try:
                create_private(path, content)
            except FileExistsError:
                continue
            return path
        raise AssertionError  # count() has no end.


def read_report(path: Path) -> bytes:
    """Return a report's bytes; StoreError if it is no regular file, or is far too large."""
    try:
        with opened(path) as descriptor:
            regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
            content = os.read(descriptor, LARGEST_BYTES + 1) if regular else b""
    except OSError as error:
        raise StoreError(f"{path} can't be read: {error.strerror}") from error
    if not regular:
        raise StoreError(f"{path} is no purge report: it is not a regular file")
    if len(content) > LARGEST_BYTES:
        raise StoreError(f"{path} is no purge report: it is too large")
    return content


# A file system that frees a block does not clear it: 80 of 80 deleted rows could still be read from
# the device, and none after a trim told the card which blocks are free (measured on ext4).
FITRIM = 0xC0185879
"""``_IOWR('X', 121, struct fstrim_range)``, linux/fs.h."""

_RANGE = struct.Struct("=QQQ")
_WHOLE = (0, 2**64 - 1, 0)
_TRIMS = dict.fromkeys((errno.EPERM, errno.EACCES), Trim.NOT_PERMITTED) | dict.fromkeys(
    (errno.EOPNOTSUPP, errno.ENOTTY, errno.EINVAL), Trim.NOT_SUPPORTED
)


def trim(directory: Path) -> Trim:
    """Trim the file system of a directory, as ``fstrim`` does. Only root may; not every card can.

    Never raises: if it fails, `fstrim.timer` does it once a week.
    """
    try:
        with opened(directory, os.O_DIRECTORY) as descriptor, as_root():
            fcntl.ioctl(descriptor, FITRIM, _RANGE.pack(*_WHOLE))
    except OSError as error:
        return _TRIMS.get(error.errno or 0, Trim.FAILED)
    return Trim.DONE


if __name__ == "__main__":
    main()
