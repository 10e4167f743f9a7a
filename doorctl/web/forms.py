"""Forms that browsers send, read within limits of size and time."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final
from urllib.parse import parse_qsl

from starlette.requests import ClientDisconnect, Request

from doorctl.core.errors import InputError

MOST_FORM_BYTES: Final = 32 * 1024

MOST_FIELDS: Final = 200

FORM_LIMIT_S: Final = 10.0
"""Longest wait for a form's bytes."""

URL_ENCODED: Final = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Form:
    """The fields of a form. `repr` hides their values, which may be card numbers or passwords."""

    fields: Mapping[str, tuple[str, ...]]

    def __repr__(self) -> str:
        return f"Form({', '.join(self.fields)})"

    def text(self, name: str) -> str:
        """Return a field without the blanks around it; empty where it was not sent."""
        return self.exact(name).strip()

    def exact(self, name: str) -> str:
        """Return a field as it was typed, such as a password."""
        return self.fields.get(name, ("",))[0]

    def ticked(self, name: str) -> bool:
        """Tell whether a box was ticked."""
        return name in self.fields

    def every(self, name: str) -> tuple[str, ...]:
        """Return each value of a field that may be chosen more than once."""
        return self.fields.get(name, ())


BLANK: Final = Form(MappingProxyType({}))


async def read_form(
    request: Request, most_bytes: int = MOST_FORM_BYTES, limit_s: float = FORM_LIMIT_S
) -> Form:
    """Read the form of a request, and wipe its bytes.

    Raises InputError: it is too long, too slow, or no form.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != URL_ENCODED:
        raise InputError("that is no form; send it as application/x-www-form-urlencoded")
    body = bytearray()
    try:
        async with asyncio.timeout(limit_s):
            async for chunk in request.stream():
                if len(body) + len(chunk) > most_bytes:
                    raise InputError(f"the form is longer than {most_bytes} bytes")
                body += chunk
        return parsed(body)
    except (TimeoutError, ClientDisconnect):
        # A client that has hung up gets no answer; that is not a bug, so there is no traceback.
        raise InputError("the form did not come in time; send it again") from None
    finally:
        body[:] = bytes(len(body))


def parsed(body: bytes | bytearray) -> Form:
    """Return the form in a body. Raises InputError: it is no form."""
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            encoding="utf-8",
            errors="strict",
            max_num_fields=MOST_FIELDS,
        )
    except ValueError:
        raise InputError("the form can't be read") from None
    fields: dict[str, tuple[str, ...]] = {}
    for name, value in pairs:
        fields[name] = (*fields.get(name, ()), value.replace("\0", ""))
    return Form(fields)
