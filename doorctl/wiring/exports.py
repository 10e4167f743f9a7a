"""The export of a run of the sender: files that fall into a directory, or what is fetched."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path

import doorctl
from doorctl.admin.installation import make_directory
from doorctl.config import Config
from doorctl.core.errors import InputError
from doorctl.core.ports import Clock
from doorctl.extras.extra import feed_rows, fetched
from doorctl.sync.delivery import Sender
from doorctl.sync.exports import Export, FeedExports, Fetched
from doorctl.sync.sender_alarms import Book, LastFetch
from doorctl.wiring.outbox import sender_table

READ_BY = ("branch", "policy", "seal", "source", "sync")
"""Tables that decide what becomes of an export."""


@dataclass(frozen=True, slots=True)
class Found:
    """An export that was read; `last` is to be kept once its patrons are in the outbox.

    `is_new` tells whether it is another one than that of the last run.
    """

    export: Export
    is_new: bool
    last: LastFetch | None = None


@contextmanager
def read_export(config: Config, sender: Sender, book: Book, clock: Clock) -> Iterator[Found | None]:
    """Read the export, and note in the book how old it is; None for one without any news.

    A file that was fetched is there as long as the block, for a large one is read several times. An
    export is taken to be without news only where the library system says so, or it is the last one
    byte for byte, and where nothing has changed by which its rows were read: no key of the
    configuration, no release, and not the day, on which somebody may come of age.
    """
    feed, now = sender_table(config).feed, clock.moment().local
    settings = _settings(config, sender, now)
    is_known = book.fetch is not None and book.fetch.settings == settings
    known = book.fetch if is_known and not (sender.full or sender.rehearsed) else None
    reading = _Reading(config, book, now, settings, known)
    if feed != Path():
        yield reading.read(Fetched(feed))
        return
    with _fetching(config, clock, known.etag if known else "") as came:
        if came is None:
            reading.note_no_news()
        yield None if came is None else reading.read(came)


@contextmanager
def fetched_file(config: Config, clock: Clock) -> Iterator[Path]:
    """Fetch the export for a look at it. InputError: nothing is fetched here, so name a file."""
    with _fetching(config, clock) as came:
        if came is not None:
            yield came.path


def _fetching(
    config: Config, clock: Clock, etag: str = ""
) -> AbstractContextManager[Fetched | None]:
    directory = sender_table(config).state_directory
    block = fetched(config, clock, directory, etag)
    if block is None:
        raise InputError("give the file to look at; without one, [source.fetch] says what to fetch")
    make_directory(directory)
    return block


def _settings(config: Config, sender: Sender, now: datetime) -> str:
    """Return a digest of all by which an export is read and sealed."""
    items = config.origin.values.items()
    values = sorted((name, value) for name, value in items if name.partition(".")[0] in READ_BY)
    by = (doorctl.__version__, values, sender.terms, now.date(), sender.on)
    return sha256(repr(by).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class _Reading:
    """Reads an export, of which the last one before may be `known`."""

    config: Config
    book: Book
    now: datetime
    settings: str
    known: LastFetch | None

    def note_no_news(self) -> None:
        """Note that there is still the last one."""
        if self.known is not None:
            self.book.exported(self.known.written, self.known.digest, self.now)

    def read(self, came: Fetched) -> Found | None:
        """Read what came; None where it is the last one."""
        exports = FeedExports(
            came.path,
            pin_length=self.config.policy.pin_length,
            wrong_share=sender_table(self.config).wrong_rows_share,
            rows_of=feed_rows(self.config),
        )
        before, last = self.book.digest, None
        if stamp := exports.stamp():
            written = datetime.fromtimestamp(stamp[0], self.now.tzinfo)
            self.book.exported(written, stamp[1], self.now, live=came.live)
            last = LastFetch(self.settings, stamp[1], written, came.etag)
            if self.known and self.known.digest == last.digest:
                self.book.fetch = last
                return None
        found = exports.read()
        return Found(found, self.book.digest != before, last)
