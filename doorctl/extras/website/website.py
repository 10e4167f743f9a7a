"""The client of a website that runs DPL CMS: its answer becomes dated days."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import KW_ONLY, dataclass, field
from datetime import date
from http import HTTPStatus
from operator import attrgetter
from types import MappingProxyType
from urllib.parse import urlencode

import httpx2
import msgspec

from doorctl.access.calendar import DAY_MINUTES, Mode, ModeSpan, StoredDay
from doorctl.config.tables import shown
from doorctl.core.asking import ASK_JSON, Talks, body_of, unreached, waits
from doorctl.core.errors import WebsiteHoursError

PATH = "/api/v1/opening_hours"
LAST_MINUTE = DAY_MINUTES - 1

CATEGORIES: Mapping[str, Mode | None] = MappingProxyType(
    {
        "med betjening": Mode.STAFFED,
        "selvbetjening": Mode.SELF_SERVICE,
        "borgerservice": None,
        "telefontid": None,
    }
)
"""The CMS's own categories; None opens no door. Each branch says what "Åbent" means."""

OPEN_CATEGORY = "åbent"

_ORDER = attrgetter("starts", "ends", "mode.value")
_TIME = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")


@dataclass(frozen=True, slots=True)
class HoursRequest:
    """A request to the website, from a first to a last date; `branch` is a number there.

    `open_means` is the mode of the category "Åbent"; None to leave it out.
    """

    branch: str
    first: date
    last: date
    isil: str = ""
    open_means: Mode | None = Mode.SELF_SERVICE

    @property
    def target(self) -> str:
        """The request's path and query."""
        query = {
            "_format": "json",
            "branch_id": self.branch,
            "from_date": self.first.isoformat(),
            "to_date": self.last.isoformat(),
        }
        return f"{PATH}?{urlencode(query)}"


@dataclass(frozen=True, slots=True)
class Published:
    """The website's hours.

    Args:
        days: every date from the first one to `known_until`; without spans: closed.
        known_until: the last date with an item. The dates after it have no hours yet, which is not
            the same as closed.
        unknown: titles of categories that open nothing because nobody knows them.
        opens: whether it is open on any of these days; if not, the hours were emptied or the
            number is another branch's: read a second time before it counts.
    """

    days: tuple[StoredDay, ...]
    known_until: date
    unknown: frozenset[str] = frozenset()
    opens: bool = True


class _Category(msgspec.Struct, frozen=True):
    title: str


class _Item(msgspec.Struct, frozen=True):
    category: _Category
    date: date
    start_time: str
    end_time: str
    branch_id: int | str
    branch_isil_id: str | None = None

    @property
    def name(self) -> str:
        return self.category.title.strip().lower()


def read_opening_hours(answer: bytes, request: HoursRequest) -> Published:
    """Turn the website's answer, JSON, into dated days; unused fields are left unread.

    Raises WebsiteHoursError: it is no list of items, an item is wrong or of another branch or date,
    or all its categories are unknown; names the first problem.
    """
    try:
        items = msgspec.json.decode(answer, type=list[_Item])
    except msgspec.ValidationError as error:
        raise _unusable(f"is no list of hours: {error}; see hours.website_url") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise _unusable("is no JSON; see whether hours.website_url is right") from None
    for place, item in enumerate(items):
        for what in _wrong(item, request):
            raise _unusable(what, f"item {place}")
    modes = _modes(request)
    unknown = frozenset(item.category.title for item in items if item.name not in modes)
    opens = any(modes.get(item.name) for item in items)
    if not opens and unknown:
        raise _unusable(f"has no category that opens, only others such as {shown(min(unknown))}")
    until = max(item.date for item in items) if opens else request.last
    return Published(_days(items, request, until), until, unknown, opens)


def _wrong(item: _Item, request: HoursRequest) -> Iterator[str]:
    if str(item.branch_id) != request.branch:
        yield f"branch_id: found {shown(item.branch_id)}; asked for {shown(request.branch)}"
    if item.branch_isil_id and request.isil and item.branch_isil_id != request.isil:
        yield f"branch_isil_id: found {shown(item.branch_isil_id)}; branch.isil is {request.isil}"
    if not request.first <= item.date <= request.last:
        yield f"date: found {item.date}; asked for {request.first} to {request.last}"
    starts, ends = _minute(item.start_time), _minute(item.end_time)
    if starts is None:
        yield f'start_time: found {shown(item.start_time)}; wanted is "HH:MM"'
    if ends is None:
        yield f'end_time: found {shown(item.end_time)}; wanted is "HH:MM"'
    if starts is not None and ends is not None and ends <= starts:
        yield f"end_time: found {shown(item.end_time)}, which is not after {item.start_time}"
    if not item.name:
        yield "category: has no title"


def _minute(text: str) -> int | None:
    match = _TIME.fullmatch(text)
    return None if match is None else int(match[1]) * 60 + int(match[2])


def _modes(request: HoursRequest) -> dict[str, Mode | None]:
    return {**CATEGORIES, OPEN_CATEGORY: request.open_means}


def _days(items: list[_Item], request: HoursRequest, until: date) -> tuple[StoredDay, ...]:
    spans: dict[date, set[ModeSpan]] = {
        date.fromordinal(ordinal): set()
        for ordinal in range(request.first.toordinal(), until.toordinal() + 1)
    }
    modes = _modes(request)
    for item in items:
        mode = modes.get(item.name)
        starts, ends = _minute(item.start_time), _minute(item.end_time)
        if mode is not None and starts is not None and ends is not None:
            # The CMS can't write 24:00; a house that is open all night says 23:59.
            ends = DAY_MINUTES if ends == LAST_MINUTE else ends
            spans[item.date].add(ModeSpan(mode, starts, ends))
    return tuple(StoredDay(day, tuple(sorted(own, key=_ORDER))) for day, own in spans.items())


LIMIT_S = 15.0
"""For the whole request; a CMS takes a second or two to compute three months of hours."""

LONGEST_ANSWER_BYTES = 2_097_152
"""90 days with 55 spans each have 1.5 MB; no branch has so many."""

HEADERS = {**ASK_JSON, "User-Agent": "doorctl"}


@dataclass(eq=False)
class Website:
    """Ask a website that runs DPL CMS. One thread at a time; nothing is kept between requests.

    Proxies that the environment names are not used and no redirect is followed: the hours open the
    door, so only the address in the configuration is believed. `limit_s` covers name, connection,
    TLS and every byte of the answer; without `context` the system's authorities count.
    """

    url: str
    _: KW_ONLY
    limit_s: float = LIMIT_S
    context: ssl.SSLContext | None = None
    _talks: Talks = field(default_factory=Talks, init=False)

    def opening_hours(self, request: HoursRequest) -> Published:
        """Ask once.

        Raises WebsiteHoursError: it was not reached, or its answer can't be used.
        """
        return read_opening_hours(self._answer(self.url.rstrip("/") + request.target), request)

    def _answer(self, address: str) -> bytes:
        # Loading the system's authorities takes 20 ms and memory, so only for each request.
        context, limits = self.context or ssl.create_default_context(), waits(self.limit_s)

        async def fetching() -> bytes:
            async with (
                httpx2.AsyncClient(
                    verify=context, trust_env=False, timeout=limits, headers=HEADERS
                ) as client,
                client.stream("GET", address) as response,
            ):
                if response.status_code != HTTPStatus.OK:
                    raise _unusable(_refusal(response.status_code))
                body = await body_of(response.aiter_raw(), LONGEST_ANSWER_BYTES)
                if body is None:
                    raise _unusable(f"has more than {LONGEST_ANSWER_BYTES} bytes")
                return body

        try:
            return self._talks.within(self.limit_s, fetching)
        except (TimeoutError, ssl.SSLError, httpx2.HTTPError) as error:
            raise _unusable(f"did not come: {unreached(error)}") from error


def _unusable(what: str, where: str = "the answer") -> WebsiteHoursError:
    return WebsiteHoursError(f"the website's hours: {where}: {what}")


def _refusal(status: int) -> str:
    what = f"has HTTP status {status}"
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        return f"{what}: the website has moved; see hours.website_url"
    if status == HTTPStatus.NOT_FOUND:
        return f"{what}: there is no DPL CMS; see hours.website_url"
    return what
