"""An export over HTTPS: one document, or pages put together as one; with limits, and no redirect.

The whole talk has one limit, each answer a longest silence, the export a largest size. Nothing that
is packed is taken, so that nothing unpacks to more. A token or a password goes to the host of the
configuration alone.
"""

from __future__ import annotations

import base64
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from pathlib import Path
from types import MappingProxyType
from urllib.parse import urljoin, urlsplit

import httpx2

from doorctl.core.asking import Talks, body_of, read_password, trusting, unreached, waits
from doorctl.core.errors import DoorctlError, FetchAwayError
from doorctl.extras.fetching import Fetch
from doorctl.extras.fetching.pages import Pager, around, read_page, wrong
from doorctl.extras.fetching.place import MIB, Aside, Wanted
from doorctl.sync.exports import Fetched

CONNECT_S = 15.0

LONGEST_PAGE_BYTES = 64 * MIB
"""A page is held in memory."""

LONGEST_TOKEN_BYTES = 8192
"""A JSON Web Token with many rights has 2 KiB."""

LONGEST_ETAG = 512

TYPES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "json": ("json",),
        "ndjson": ("json", "jsonl", "jsonlines"),
        "csv": ("csv", "excel", "tab-separated-values"),
        "xml": ("xml",),
    }
)
"""Kind of export -> how its content types end; feeds of our own are JSON lines or CSV."""

ANY_TYPE = ("", "plain", "octet-stream", "download")
"""What servers say of a file that they know nothing about."""

LATER = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses that may change at another try (RFC 9110); the others are final."""

MEANINGS: Mapping[int, str] = MappingProxyType(
    {
        401: "it does not accept the token or password; see source.fetch.http",
        403: "it does not let this account read the export",
        404: "nothing is at that address; see source.fetch.http.url",
        410: "nothing is at that address any more; see source.fetch.http.url",
    }
)

HTML = (b"<!doctype html", b"<html")
BLANKS = b"\xef\xbb\xbf \t\r\n"


@dataclass(eq=False)
class HttpExport:
    """An export that is asked for by GET.

    No proxy of the environment is used. KeyFileError: password, token or authority can't be read.
    """

    wanted: Wanted
    fetch: Fetch = field(init=False)
    _context: ssl.SSLContext = field(init=False)
    _headers: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self.fetch = self.wanted.fetch
        self._context = trusting(self.fetch.http.ca_file)
        self._headers = {
            "Accept": "application/json, */*;q=0.5" if self.fetch.http.pages != "none" else "*/*",
            "Accept-Encoding": "identity",
            "User-Agent": "doorctl",
            **_proof(self.fetch),
        }

    def into(self, aside: Aside) -> Fetched | None:
        """Fetch it; None where the server says that it is what it was at the etag.

        Raises FetchError, FetchAwayError: it did not come, or is none; StoreError.
        """
        total_s = 60.0 * self.fetch.limit_min
        limits = waits(total_s, self.fetch.silence_s, CONNECT_S)

        async def fetching() -> Fetched | None:
            async with httpx2.AsyncClient(
                verify=self._context, trust_env=False, timeout=limits, headers=self._headers
            ) as client:
                if self.fetch.http.pages == "none":
                    return await self._whole(client, aside)
                return await self._pages(client, aside)

        try:
            return Talks().within(total_s, fetching)
        except DoorctlError:
            raise
        except (TimeoutError, ssl.SSLError, httpx2.HTTPError, httpx2.InvalidURL) as error:
            why = unreached(error, "source.fetch.http")
        # Raised out here, so that no exception with a piece of the answer is its context.
        raise FetchAwayError(f"the export was not fetched: {why}")

    async def _whole(self, client: httpx2.AsyncClient, aside: Aside) -> Fetched | None:
        asked = {"If-None-Match": self.wanted.etag} if self.wanted.etag else {}
        async with self._answer(client, self.fetch.http.url, asked) as answer:
            if answer.status_code == HTTPStatus.NOT_MODIFIED:
                return None
            begins = b""
            async for piece in answer.aiter_raw():
                if len(begins) < LONGEST_ETAG:
                    begins += piece[:LONGEST_ETAG]
                    _refuse_page(begins)
                aside.write(piece)
            if not aside.written:
                raise wrong("the answer is empty")
            with suppress(ValueError, OverflowError):
                written = parsedate_to_datetime(answer.headers.get("Last-Modified", ""))
                aside.was_written_at(written.timestamp())
            mark = answer.headers.get("ETag", "")
            is_mark = mark.isascii() and mark.isprintable() and len(mark) <= LONGEST_ETAG
            return Fetched(aside.path, mark if is_mark else "")

    async def _pages(self, client: httpx2.AsyncClient, aside: Aside) -> Fetched:
        http, pager = self.fetch.http, Pager(self.fetch.http)
        head, tail = around(self.wanted.records)
        aside.write(head)
        address: str | None = pager.first()
        while address is not None:
            async with self._answer(client, address, {}) as answer:
                body = await body_of(answer.aiter_raw(), LONGEST_PAGE_BYTES)
                if body is None:
                    at_most = f"{LONGEST_PAGE_BYTES // MIB} MiB"
                    raise wrong(f"a page is larger than {at_most}; see source.fetch.http.page_rows")
                _refuse_page(body)
                links = {
                    rel: link.get("url", "")
                    for link in answer.links.values()
                    for rel in link.get("rel", "").lower().split()
                }
                page = read_page(body, http, self.wanted.records, answer.headers, links)
            if page.rows:
                aside.write(b",\n" * bool(pager.got) + b",\n".join(page.rows))
            address = pager.after(page)
        aside.write(tail)
        return Fetched(aside.path, live=True)

    @asynccontextmanager
    async def _answer(
        self, client: httpx2.AsyncClient, address: str, more: Mapping[str, str]
    ) -> AsyncIterator[httpx2.Response]:
        async with client.stream("GET", address, headers=more) as answer:
            _refuse_status(answer, address, is_conditional=bool(more))
            if answer.status_code == HTTPStatus.OK:
                _refuse_packed(answer)
                _refuse_endless(answer)
                _refuse_type(answer, self.wanted.kind)
            yield answer


def _proof(fetch: Fetch) -> dict[str, str]:
    http = fetch.http
    if http.token_file != Path():
        token = read_password(http.token_file, LONGEST_TOKEN_BYTES).reveal()
        tenant = {"X-Okapi-Tenant": http.tenant} if http.tenant else {}
        match http.token_as:
            case "okapi":
                return {"X-Okapi-Token": token, **tenant}
            case "apikey":
                return {"Authorization": f"apikey {token}"}
        return {"Authorization": f"Bearer {token}"}
    if http.user:
        password = read_password(http.password_file).reveal()
        pair = base64.b64encode(f"{http.user}:{password}".encode()).decode()
        return {"Authorization": f"Basic {pair}"}
    return {}


def _refuse_status(answer: httpx2.Response, address: str, *, is_conditional: bool) -> None:
    status = answer.status_code
    if status == HTTPStatus.OK or (status == HTTPStatus.NOT_MODIFIED and is_conditional):
        return
    if status in LATER:
        what = f"the machine that has it answers with HTTP status {status}"
        raise FetchAwayError(f"the export was not fetched: {what}; the next run tries again")
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        raise wrong(_redirected(answer, address))
    meaning = MEANINGS.get(status, "the machine that has it does not give it")
    raise wrong(f"{meaning} (HTTP status {status})")


def _redirected(answer: httpx2.Response, address: str) -> str:
    try:
        there = urlsplit(urljoin(address, answer.headers.get("Location", ""))).hostname or ""
    except ValueError:
        there = ""
    where = "elsewhere" if there == urlsplit(address).hostname else "to another machine"
    return (
        f"it redirects {where}, and neither token nor password follows; see source.fetch.http.url"
    )


def _refuse_packed(answer: httpx2.Response) -> None:
    if answer.headers.get("Content-Encoding", "identity").strip().lower() not in ("", "identity"):
        raise wrong("the answer is packed, though it was asked for as it is")


def _refuse_endless(answer: httpx2.Response) -> None:
    """Refuse an answer that does not show whether it is whole."""
    chunked = "chunked" in answer.headers.get("Transfer-Encoding", "").lower()
    if not chunked and "Content-Length" not in answer.headers:
        raise wrong("the answer has no length, so that a cut one would pass for a whole one")


def _refuse_type(answer: httpx2.Response, kind: str) -> None:
    written = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    last = written.rpartition("/")[2]
    kinds = (kind,) if kind else ("ndjson", "csv")
    ends = tuple(end for each in kinds for end in TYPES[each])
    if last not in ANY_TYPE and not last.endswith(ends):
        page = ", as a page to sign in is" if last.endswith("html") else ""
        shown = last if last.replace("-", "").replace("+", "").isalnum() else "another kind"
        raise wrong(f"the answer is {shown[:40]}{page}, and no {' or '.join(kinds)}")


def _refuse_page(begins: bytes) -> None:
    if begins.lstrip(BLANKS)[:16].lower().startswith(HTML):
        raise wrong("the answer is html, as a page to sign in is")
