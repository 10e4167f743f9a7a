"""Opening hours from the library's website, over HTTP."""

from __future__ import annotations

import asyncio
import os
import ssl

import httpx2
import msgspec

from doorctl.config.lms import is_this_machine
from doorctl.core.errors import InputError, Problem, WebsiteHoursError
from doorctl.sync.website import Asked, Published, read_opening_hours

LIMIT_S = 15.0
"""For all of it; a CMS that has to make up three months of hours takes a second or two."""

LONGEST_ANSWER_BYTES = 2_097_152
"""So many items as are read at most have 1.5 MB."""

HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "doorctl"}


class Website:
    """Ask a website that runs DPL CMS. One thread at a time; nothing is kept between questions.

    Proxies that the environment names are not used and no redirect is followed: the hours open the
    door, so only the address in the configuration is believed. `limit_s` covers connection, TLS
    and every byte of the answer; without `context` the system's authorities count.

    Raises:
        InputError: `url` is plain http to another machine.
    """

    def __init__(
        self, url: str, *, limit_s: float = LIMIT_S, context: ssl.SSLContext | None = None
    ) -> None:
        address = httpx2.URL(url)
        if address.scheme != "https" and not is_this_machine(address.host):
            raise InputError("the website is asked over https only; see hours.website_url")
        self._base = url.rstrip("/")
        self._limit_s = limit_s
        self._context = context

    def opening_hours(self, asked: Asked) -> Published:
        """Ask once and return the website's hours.

        Waits for `limit_s` at the longest; a name lookup that hangs can't be ended, so until the
        resolver gives up. Not for a thread that runs an event loop.

        Raises:
            WebsiteHoursError: it was not reached, or its answer can't be used.
        """
        try:
            body = asyncio.run(self._fetched(asked.target))
        except TimeoutError:
            raise _unusable(f"did not come within {self._limit_s:g} s") from None
        except httpx2.HTTPError as error:
            raise _unusable(_unreached(error)) from error
        try:
            answer = msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise _unusable("is no JSON; see whether hours.website_url is right") from None
        return read_opening_hours(answer, asked)

    async def _fetched(self, target: str) -> bytes:
        # Loading the system's authorities takes 20 ms and memory, so only for each question.
        context = self._context or ssl.create_default_context()
        async with (
            asyncio.timeout(self._limit_s),
            httpx2.AsyncClient(
                verify=context, trust_env=False, timeout=None, headers=HEADERS
            ) as client,
            client.stream("GET", self._base + target) as response,
        ):
            if response.status_code != httpx2.codes.OK:
                raise _unusable(_refusal(response.status_code))
            body = b""
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > LONGEST_ANSWER_BYTES:
                    raise _unusable(f"has more than {LONGEST_ANSWER_BYTES} bytes")
            return body


def _unusable(what: str) -> WebsiteHoursError:
    return WebsiteHoursError("the website's hours", [Problem("the answer", what)])


def _refusal(status: int) -> str:
    told = f"has HTTP status {status}"
    if httpx2.codes.is_redirect(status):
        return f"{told}: the website has moved; see hours.website_url"
    if status == httpx2.codes.NOT_FOUND:
        return f"{told}: there is no DPL CMS; see hours.website_url"
    return told


def _unreached(error: BaseException) -> str:
    """Return why no answer came, without a word of what did come."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"did not come: its certificate is not accepted ({cause.verify_message})"
        if isinstance(cause, ssl.SSLError):
            return f"did not come: TLS fails ({cause.reason or 'no reason given'})"
        if isinstance(cause, OSError) and cause.errno:
            # A failed lookup has a number of its own kind; asyncio's words for others are long.
            own = os.strerror(cause.errno) if cause.errno > 0 else cause.strerror
            return f"did not come: no connection ({own})"
        cause = cause.__cause__ or cause.__context__
    return f"did not come whole ({type(error).__name__})"
