"""The sender's export, fetched over HTTPS or SFTP: ``[source.fetch]``, ``.http`` and ``.sftp``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import SplitResult, parse_qsl, urlsplit

from doorctl.config.rules import FEED, MISSING, USELESS, Values, together
from doorctl.config.tables import is_this_machine, key, shown, visible_key
from doorctl.core.errors import Problem
from doorctl.extras.extra import Extra

if TYPE_CHECKING:
    from doorctl.config import Config
    from doorctl.core.ports import Clock
    from doorctl.sync.exports import Fetched

TABLE = "source.fetch"
URL, HOST = f"{TABLE}.http.url", f"{TABLE}.sftp.host"

Pages = Literal["none", "link", "next", "number", "offset"]
"""How an answer in pages is followed; a closed set.

- ``link``: the header Link with rel=next (RFC 8288).
- ``next``: the address that stands in the document at `next_key`.
- ``number``: ``_page`` and ``_per_page``, and the header X-Total-Count: Koha
  (https://github.com/Koha-Community/Koha, Koha/REST/Plugin/Pagination.pm). Its Link header may name
  the machine behind a proxy, so that the count is the safer way.
- ``offset``: ``offset`` and ``limit``, and the total in the document at `total_key`: FOLIO
  (``totalRecords``; https://github.com/folio-org/raml-module-builder), Alma
  (``total_record_count``; https://developers.exlibrisgroup.com/alma/apis/users/) and Sierra
  (``total``; https://sandbox.iii.com/docs/Content/titlePage.htm).
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Http:
    """An export that is asked for by GET; an empty address for none."""

    url: str = key(
        "",
        example="https://koha.example/api/v1/patrons",
        allowed='an address that begins with https://, or ""',
        max_length=1000,
    )
    user: str = visible_key("doorctl")
    password_file: Path = key(Path(), example="/etc/doorctl/library.password")
    token_file: Path = key(Path(), example="/etc/doorctl/library.token")
    token_as: Literal["bearer", "apikey", "okapi"] = key("bearer")
    tenant: str = visible_key("diku")
    pages: Pages = key("none")
    page_rows: int = key(500, within=(1, 10_000))
    next_key: str = visible_key("links.next")
    total_key: str = visible_key("totalRecords")
    ca_file: Path = key(Path(), example="/etc/doorctl/library-ca.pem")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sftp:
    """An export that lies on another machine; an empty host for none."""

    host: str = key(
        "",
        example="drop.example",
        allowed='an address or a host name, or ""',
        pattern=r"^([A-Za-z0-9:_][A-Za-z0-9.:_-]{0,252})?\Z",
    )
    port: int = key(22, within=(1, 65535))
    user: str = key(
        "",
        example="doorctl",
        allowed='a login, or ""',
        pattern=r"^([A-Za-z0-9_][A-Za-z0-9._@-]{0,63})?\Z",
    )
    path: str = key(
        "",
        example="/export/",
        allowed='a file, or a folder with / at its end, without any of "\\*?[]; or ""',
        pattern=r'^([^\x00-\x1f\x7f"\\*?\[\]-][^\x00-\x1f\x7f"\\*?\[\]]{0,399})?\Z',
    )
    key_file: Path = key(Path(), example="/etc/doorctl/drop.key")
    known_hosts_file: Path = key(Path(), example="/etc/doorctl/drop.known_hosts")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetch:
    """Limits of one fetch, and where from."""

    limit_min: float = key(60.0, within=(1, 480))
    silence_s: float = key(60.0, within=(1, 600))
    most_mib: int = key(1024, within=(1, 65_536))
    http: Http = field(default_factory=Http)
    sftp: Sftp = field(default_factory=Sftp)


def source_is_single(values: Values) -> Iterator[Problem]:
    """The export comes from one place; a branch, which sends none on, fetches none."""
    named = [name for name in (FEED, URL, HOST) if values.get(name, "") not in ("", Path())]
    if FEED not in values:
        yield from (Problem(name, "does nothing without [sync]; leave it out") for name in named)
    elif not named:
        yield Problem(FEED, f"missing, and so are {URL} and {HOST}; give one of the three")
    for name in named[1:]:
        if FEED in values:
            yield Problem(name, USELESS, beside=named[0])


SECRETS = re.compile(
    r"token|api[_-]?key|passw|pwd|secret|signature|credential|auth|^key$|^sig$|^pin$", re.IGNORECASE
)
"""Names in a query that a secret goes by: Alma's ``apikey``, ``access_token`` (RFC 6750), ``sig``
of a presigned address."""


def address_keeps_no_secret(values: Values) -> Iterator[Problem]:
    """Addresses stand in logs along the way; none here is quoted, for a secret may be in it."""
    url = values.get(URL)
    if not url:
        return
    parts = read_url(url)
    if parts is None:
        yield Problem(URL, "is no address of a machine; give one such as https://koha.example/x")
    elif parts.username is not None or parts.password is not None:
        what = "carries a user or a password; take it out, give user and password_file beside it"
        yield Problem(URL, what)
    elif named := [
        name for name, _ in parse_qsl(parts.query, keep_blank_values=True) if SECRETS.search(name)
    ]:
        what = "carries a secret in its query as {name}; take it out, and give token_file beside it"
        yield Problem(URL, what, name=shown(named[0]))
    elif parts.scheme == "http" and not is_this_machine(parts.hostname or ""):
        yield Problem(URL, "asks another machine for patrons in the clear; give https://")


def read_url(url: str) -> SplitResult | None:
    """Return the parts of an address; None where it is none that can be asked."""
    try:
        parts = urlsplit(url)
        whole = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        return None
    return parts if whole and url.isascii() and " " not in url and not parts.fragment else None


def account_is_whole(values: Values) -> Iterator[Problem]:
    """Either a user with a password or a token is shown; FOLIO's tenant goes with its token."""
    table = f"{TABLE}.http"
    if not values.get(URL):
        return
    yield from together(values, table, ("user", "password_file"))
    token, tenant = values.get(f"{table}.token_file"), values.get(f"{table}.tenant")
    if token not in (None, Path()) and values.get(f"{table}.user"):
        yield Problem(f"{table}.user", USELESS, beside=f"{table}.token_file")
    if tenant and values.get(f"{table}.token_as") != "okapi":
        beside = f"{table}.token_as = {shown(values.get(f'{table}.token_as'))}"
        yield Problem(f"{table}.tenant", USELESS, beside=beside)


def pages_can_be_followed(values: Values) -> Iterator[Problem]:
    """Pages are put together as one JSON document, and their way has the key that it needs."""
    table = f"{TABLE}.http"
    pages, kind = values.get(f"{table}.pages"), values.get("source.kind")
    if not values.get(URL) or pages is None:
        return
    if pages != "none" and kind != "json":
        what = 'found {found}, but only pages of JSON are put together; give source.kind = "json"'
        yield Problem(f"{table}.pages", what, found=shown(pages))
    for leaf, way in (("next_key", "next"), ("total_key", "offset")):
        given, beside = values.get(f"{table}.{leaf}"), f"{table}.pages = {shown(pages)}"
        if pages == way and given == "":
            yield Problem(f"{table}.{leaf}", MISSING, beside=beside)
        elif pages != way and given:
            yield Problem(f"{table}.{leaf}", USELESS, beside=beside)


def export(
    config: Config, clock: Clock, directory: Path, etag: str
) -> AbstractContextManager[Fetched | None] | None:
    """See `Extra.export`."""
    from doorctl.extras.fetching.exports import fetched
    from doorctl.extras.fetching.place import Wanted

    (fetch,) = config.all_of(Fetch)
    kind = str(config.origin.values.get("source.kind", ""))
    records = str(config.origin.values.get("source.records", ""))
    is_named = fetch.http.url or fetch.sftp.host
    wanted = Wanted(fetch, kind, records, etag)
    return fetched(wanted, clock, directory) if is_named else None


EXTRA = Extra(
    section=Fetch,
    rules=(
        source_is_single,
        address_keeps_no_secret,
        account_is_whole,
        pages_can_be_followed,
        partial(
            together,
            table=f"{TABLE}.sftp",
            leaves=("host", "user", "path", "key_file", "known_hosts_file"),
        ),
    ),
    export=export,
)
