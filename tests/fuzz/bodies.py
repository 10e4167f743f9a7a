"""Bodies of HTTP requests: forms, and what carries a push, as a server hands them over."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from starlette.requests import Request

from doorctl.config.tables import Push
from doorctl.core.errors import InputError, PushTooLargeError
from doorctl.web.forms import MOST_FIELDS, Form, parsed, read_form
from doorctl.web.forms import MOST_FORM_BYTES as MOST_BYTES
from doorctl.web.pushes import Body

SEEDS = (
    b"name=mette&password=hemmeligt&next=%2Fnow",
    b"card=3000001234&reason=Larm+og+uro&until=2026-12-24",
    b"days=mon&days=tue&days=&x",
    b"a=%C3%A6%C3%B8%C3%A5&b=%00&c=%",
    b"",
)
WORDS = (
    b"&", b"=", b"%", b"+", b";", b"%00", b"%ff", b"%C3%A6", b"%u1234", b"\xff", b"\x00", b"\r\n",
    b"a=" * 120, b"&a" * 250, b"x" * 1000, b"next=//evil.example", b"[]",
)  # fmt: skip
LONGEST = 40_000
FORM_CHUNKS = (7, 1_000)
LIMITS = Push(max_bytes=MOST_BYTES, chunk_timeout_s=60.0, total_timeout_s=60.0)


def check(data: bytes) -> None:
    """Check one body: a form or none, however it is cut; and every byte of it is handed on."""
    with asyncio.Runner() as runner:
        runner.run(_check(data))


async def _check(data: bytes) -> None:
    whole = await _form([data])
    assert whole == (_parsed(data) if len(data) <= MOST_BYTES else None)
    if whole is not None:
        assert sum(map(len, whole.fields.values())) <= MOST_FIELDS
        assert not any("\0" in value for values in whole.fields.values() for value in values)
    for size in FORM_CHUNKS:
        chunks = [data[at : at + size] for at in range(0, len(data), size)]
        assert await _form(chunks) == whole, "cut, it is another form"
        assert await _body(chunks, len(data)) == (data if len(data) <= MOST_BYTES else None)


def _parsed(data: bytes) -> Form | None:
    try:
        return parsed(data)
    except InputError:
        return None


async def _form(chunks: Sequence[bytes]) -> Form | None:
    try:
        return await read_form(_request(chunks, 0))
    except InputError:
        return None


async def _body(chunks: Sequence[bytes], length: int) -> bytes | None:
    taken = bytearray()

    async def take(chunk: bytes) -> None:
        taken.extend(chunk)

    try:
        await Body(_request(chunks, length), LIMITS).read(take)
    except PushTooLargeError:
        return None
    return bytes(taken)


def _request(chunks: Sequence[bytes], length: int) -> Request:
    messages = [
        *({"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks),
        {"type": "http.request", "body": b"", "more_body": False},
    ]
    coming = iter(messages)

    async def receive() -> dict[str, object]:
        return next(coming)

    headers = [
        (b"content-type", b"application/x-www-form-urlencoded"),
        (b"content-length", b"%d" % length),
    ]
    return Request({"type": "http", "method": "POST", "headers": headers}, receive)
