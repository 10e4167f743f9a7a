"""A sealed row, or a patron's removal, as one line of a push; strict, and never quoted."""

from __future__ import annotations

from operator import attrgetter
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from doorctl.access.patron import PIN_CHECK_BYTES, ROW_KEY_BYTES, Patron, SealedRow
from doorctl.core.ports import Unshown
from doorctl.sync.json_lines import decoded
from doorctl.sync.rows import SHORTEST_PIN, BlockCode, Day, Flag, RowReader, Tag

MOST_CODES = 256
"""Block codes or tags of one patron; FBS knows a dozen codes."""

Ref = Annotated[
    str, Meta(pattern=r"\A[!-~]{1,64}\Z", description="give a text of 1 to 64 visible letters")
]


class Removal(Unshown, frozen=True):
    """A patron who is removed with all identifiers."""

    patron_ref: Ref = msgspec.field(name="remove")


Line = SealedRow | Removal


class WrittenRow(Unshown, frozen=True):
    """A row as it is written; every row has every field.

    From `patron_ref` to `tags`, and then `weak_pin`, they are those of `Patron` in its order.
    """

    row_key: Annotated[
        bytes,
        Meta(
            min_length=ROW_KEY_BYTES,
            max_length=ROW_KEY_BYTES,
            description=f"give the base64 of {ROW_KEY_BYTES} bytes",
        ),
    ] = msgspec.field(name="key")
    patron_ref: Ref = msgspec.field(name="ref")
    pin_check: Annotated[
        Annotated[bytes, Meta(min_length=PIN_CHECK_BYTES, max_length=PIN_CHECK_BYTES)] | None,
        Meta(description=f"give the base64 of {PIN_CHECK_BYTES} bytes, or null"),
    ] = msgspec.field(name="pin")
    resident: Flag
    active: Flag
    blocks: Annotated[
        frozenset[BlockCode],
        Meta(max_length=MOST_CODES, description="give a list of codes without blanks, [] for none"),
    ]
    restricted: Flag
    enter_from: Day
    valid_until: Day
    hold_from: Day
    hold_until: Day
    tags: Annotated[
        frozenset[Tag],
        Meta(max_length=MOST_CODES, description="give a list of texts without outer blanks"),
    ]
    pin_changed: Day
    weak_pin: Flag

    def __post_init__(self) -> None:
        if self.hold_until is None:
            return
        if self.hold_from is None or self.hold_until < self.hold_from:
            raise ValueError("hold_until: not on or after hold_from; give both dates in order")

    def row(self) -> SealedRow:
        """Return it as the patron cache takes it."""
        return SealedRow(self.row_key, Patron(*_of_patron(self)), self.pin_changed)


_of_patron = attrgetter(*WrittenRow.__struct_fields__[1:-2], "weak_pin")

_ENCODER = msgspec.json.Encoder(order="deterministic")

_ROWS = msgspec.json.Decoder(WrittenRow)

_REMOVALS = msgspec.json.Decoder(Removal)


def encode(line: Line) -> bytes:
    """Return the one way to write a line, with its line feed; equal lines give equal bytes."""
    return _ENCODER.encode(_written(line)) + b"\n"


def decode(line: bytes) -> Line:
    r"""Read a line with or without its ``\n``; raises as :func:`parse`.

    `encode` of the result may differ in form.
    """
    written = parse(line)
    return written if isinstance(written, Removal) else written.row()


def decode_row(line: bytes) -> SealedRow:
    """Read a line that must be a row; raises as :func:`parse`, and for a removal."""
    row = decode(line)
    if isinstance(row, SealedRow):
        return row
    raise ValueError("it is a removal")


def reread(line: bytes) -> Line:
    r"""Read a line that :func:`parse` has taken before, with or without its ``\n``.

    It is faster, since it does not check again for a repeated field. Raises ValueError: it is not
    the same line; one that is another line's may be read as that.
    """
    written = _typed(line)
    if written is None:
        raise ValueError("row: not what it was")
    return written if isinstance(written, Removal) else written.row()


def parse(line: bytes) -> WrittenRow | Removal:
    """Check a line; one that is byte for byte as we write it is trusted at once: no field is twice.

    Raises ValueError: not UTF-8, not JSON, a field twice, missing, unknown or wrong; the text says
    which field and quotes nothing of the line.
    """
    line = line.removesuffix(b"\n")
    written = _typed(line)
    if written is not None and _ENCODER.encode(written) == line:
        return written
    value = decoded(line)
    if written is None:
        is_removal = isinstance(value, dict) and "remove" in value
        raise ValueError(wrong(value, Removal if is_removal else WrittenRow))
    return written


def wrong(value: object, part: type[Struct]) -> str:
    """Return the first thing that is wrong with decoded JSON that is not a `part`."""
    return next(RowReader(SHORTEST_PIN).explain(value, part), "row: not as it should be")


def _typed(line: bytes) -> WrittenRow | Removal | None:
    for decoder in (_ROWS, _REMOVALS):
        try:
            return decoder.decode(line)
        except (ValueError, RecursionError):
            continue
    return None


def _written(line: Line) -> WrittenRow | Removal:
    if isinstance(line, Removal):
        return line
    *values, weak_pin = _of_patron(line.patron)
    return WrittenRow(*(line.row_key, *values, line.pin_changed, weak_pin))
