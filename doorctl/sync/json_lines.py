"""A file of JSON lines from another program: bounded, strict, and never quoted."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from typing import Any, BinaryIO

import msgspec

LONGEST_LINE_BYTES = 65_536
"""A row of the design has 0.4 KiB; a line of 64 KiB is another sort of file."""


def numbered(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Yield each line that is not blank with its number, from 1; memory stays bounded.

    A line that is too long is cut one byte over the limit, so that :func:`decoded` refuses it. A
    byte order mark at the beginning is dropped.
    """
    number = 0
    while line := file.readline(LONGEST_LINE_BYTES + 1):
        number += 1
        rest = line
        while len(rest) > LONGEST_LINE_BYTES and not rest.endswith(b"\n"):
            rest = file.readline(LONGEST_LINE_BYTES + 1)
        if line.strip() or len(line) > LONGEST_LINE_BYTES:
            yield number, line.removeprefix(codecs.BOM_UTF8) if number == 1 else line


class NotJsonError(ValueError):
    """The line is no JSON; the text says what is wrong with it and quotes nothing."""


def decoded(line: bytes) -> object:
    """Return the JSON value of a line.

    Raises NotJsonError: too long, not UTF-8, not JSON, or it has a field twice.
    """
    if len(line) > LONGEST_LINE_BYTES:
        raise NotJsonError(f"row: longer than {LONGEST_LINE_BYTES} bytes; give one row a line")
    try:
        text = line.decode()
        # msgspec is the stricter one (lone surrogates, NaN); only json can show a repeated key.
        msgspec.json.decode(line)
        return _DECODER.decode(text)
    except UnicodeDecodeError:
        problem = "row: not UTF-8; save the export as UTF-8"
    except NotJsonError as error:
        problem = str(error)
    except (ValueError, RecursionError):
        problem = "row: not JSON; give one whole JSON object a line"
    raise NotJsonError(problem)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise NotJsonError("row: a field stands in it twice; give each field once")
    return fields


_DECODER = json.JSONDecoder(object_pairs_hook=_once)
