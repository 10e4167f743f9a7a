"""Answers in pages: which address is next, and when all rows are there; no I/O.

The ways are those of `Pages`. Where the library system counts its rows, as many have to come, no
more and no less; where it does not, the pages end where no next one is named.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit, urlunsplit

import msgspec
from msgspec import Raw

from doorctl.core.errors import FetchAwayError, FetchError
from doorctl.extras.fetching import Http

MOST_PAGES = 100_000
"""More than any register has, at a hundred patrons a page."""


@dataclass(frozen=True, slots=True)
class Page:
    """What a page holds: its rows, each as it is written.

    And how many rows there are in all, or where the next page is, as the way of paging has it.
    """

    rows: Sequence[bytes]
    total: int | None = None
    next: str = ""


def wrong(what: str) -> FetchError:
    """Return the error of an answer that is not what was asked for."""
    return FetchError(f"the export was not fetched: {what}")


def read_page(
    body: bytes, http: Http, records: str, headers: Mapping[str, str], links: Mapping[str, str]
) -> Page:
    """Read one page, whose header has `links`, rel -> address.

    FetchError: it is no JSON, or has no rows, no count or no next page where it should.
    """
    with suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        document = Raw(body)
        listed = msgspec.json.decode(_at(document, records), type=list[Raw] | None)
        if listed is None:
            where = f"at {records}; see source.records" if records else "in it"
            raise wrong(f"a page has no list {where}")
        rows = [bytes(row) for row in listed]
        match http.pages:
            case "next":
                named = msgspec.json.decode(_at(document, http.next_key), type=str | None)
                return Page(rows, next=named or "")
            case "number":
                written = headers.get("X-Total-Count", "")
                return Page(rows, _count(written, "its header X-Total-Count"))
            case "offset":
                total = msgspec.json.decode(_at(document, http.total_key), type=int | str | None)
                where = f"{http.total_key}; see source.fetch.http.total_key"
                return Page(rows, _count(str(total), where))
        return Page(rows, next=links.get("next", ""))
    # Out of the block, so that no exception with a piece of the answer is its context.
    raise wrong("a page is no JSON, or not to its end, or of another shape")


def _at(document: Raw, path: str) -> Raw:
    """Return what stands at a path in an object of JSON; null where nothing does."""
    for step in path.split(".") if path else ():
        document = msgspec.json.decode(document, type=dict[str, Raw]).get(step, Raw(b"null"))
        if bytes(document) == b"null":
            break
    return document


LONGEST_COUNT = 9
"""Digits of the number of a register's rows."""


def _count(written: str, where: str) -> int:
    if not (written.isascii() and written.isdigit() and len(written) <= LONGEST_COUNT):
        raise wrong(f"a page has no count of all rows in {where}")
    return int(written)


@dataclass(slots=True)
class Pager:
    """Follows pages from the first to the last, and refuses what is no way to the end."""

    http: Http
    got: int = 0
    number: int = 0
    total: int | None = None
    seen: set[str] = field(default_factory=set)
    is_beyond: bool = False

    def first(self) -> str:
        """Return the address of the first page."""
        return self._noted(self._counted() or self.http.url)

    def after(self, page: Page) -> str | None:
        """Return the address of the page after this one; None where it was the last.

        FetchError: the pages turn in a circle, have no end, lead to another machine, or hold fewer
        or more rows than there are. FetchAwayError: the register has changed meanwhile.
        """
        self.got += len(page.rows)
        self.number += 1
        if self.is_beyond:
            if page.rows:
                raise wrong("more rows came than the total; see source.fetch.http.total_key")
            return None
        if self.total is not None and page.total != self.total:
            raise FetchAwayError(
                "the export was not fetched: the number of patrons changed while the pages came; "
                "the next run tries again"
            )
        self.total = page.total
        if self.total is not None:
            following = self._until(self.total, len(page.rows))
        else:
            following = self._own(page.next)
        return None if following is None else self._noted(following)

    def _until(self, total: int, rows: int) -> str | None:
        if self.got > total:
            raise wrong(f"{self.got} rows came, and there are {total}")
        is_offset, size = self.http.pages == "offset", self.http.page_rows
        if is_offset and self.got == total and self.number == 1 and rows == size:
            # The total may be that page's alone: there must be nothing behind it.
            self.is_beyond = True
            return self._counted()
        if self.got == total:
            return None
        if not rows:
            raise wrong(f"page {self.number} is empty, and only {self.got} of {total} rows came")
        return self._counted()

    def _own(self, following: str) -> str | None:
        """Return a next address on our own machine; behind a proxy it may name another scheme."""
        if not following:
            return None
        base = urlsplit(self.http.url)
        try:
            parts = urlsplit(urljoin(self.http.url, following))
        except ValueError:
            raise wrong("a page names a next one at no address") from None
        if parts.hostname != base.hostname:
            raise wrong("a page names a next one on another machine, which is not asked")
        return urlunsplit((base.scheme, base.netloc, parts.path, parts.query, ""))

    def _counted(self) -> str | None:
        size = str(self.http.page_rows)
        match self.http.pages:
            case "number":
                more = {"_page": str(self.number + 1), "_per_page": size}
            case "offset":
                more = {"offset": str(self.got), "limit": size}
            case _:
                return None
        parts = urlsplit(self.http.url)
        query = [
            pair for pair in parse_qsl(parts.query, keep_blank_values=True) if pair[0] not in more
        ]
        return urlunsplit(parts._replace(query=urlencode([*query, *more.items()])))

    def _noted(self, address: str) -> str:
        if address in self.seen:
            raise wrong(f"page {self.number} leads back to one that came before")
        if len(self.seen) >= MOST_PAGES:
            raise wrong(f"there are more than {MOST_PAGES} pages")
        self.seen.add(address)
        return address


def around(records: str) -> tuple[bytes, bytes]:
    """Return what stands before and after the rows of all pages in one document."""
    steps = records.split(".") if records else []
    head = b"".join(b"{%s:" % msgspec.json.encode(step) for step in steps)
    return head + b"[", b"]" + b"}" * len(steps)
