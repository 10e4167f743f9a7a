"""A sealed row, or a patron's removal, as one line of a push; strict, and never quoted."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Annotated, Any, get_args

import msgspec
from msgspec import Meta, Struct

from doorctl.access.patron import PIN_CHECK_BYTES, ROW_KEY_BYTES, Patron
from doorctl.ports import SealedRow
from doorctl.sync.rows import Tag, decoded

MOST_CODES = 256
"""Block codes or tags of one patron; FBS knows a dozen codes."""

Ref = Annotated[
    str, Meta(pattern=r"\A[!-~]{1,64}\Z", description="give a text of 1 to 64 visible letters")
]
Flag = Annotated[bool, Meta(description="give true or false")]
Day = Annotated[date | None, Meta(description="give a date as YYYY-MM-DD, or null")]
Block = Annotated[str, Meta(pattern=r"\A[!-~]{1,32}\Z")]


class Removal(Struct, frozen=True, forbid_unknown_fields=True):
    """A patron who is removed with all identifiers."""

    patron_ref: Ref = msgspec.field(name="remove")

    def __repr__(self) -> str:
        return "Removal(***)"


Line = SealedRow | Removal


class WrittenRow(Struct, frozen=True, forbid_unknown_fields=True):
    """A row as it is written; every row has every field."""

    key: Annotated[
        bytes,
        Meta(
            min_length=ROW_KEY_BYTES,
            max_length=ROW_KEY_BYTES,
            description=f"give the base64 of {ROW_KEY_BYTES} bytes",
        ),
    ]
    ref: Ref
    pin: Annotated[
        Annotated[bytes, Meta(min_length=PIN_CHECK_BYTES, max_length=PIN_CHECK_BYTES)] | None,
        Meta(description=f"give the base64 of {PIN_CHECK_BYTES} bytes, or null"),
    ]
    resident: Flag
    active: Flag
    blocks: Annotated[
        frozenset[Block],
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

    def __repr__(self) -> str:
        return "WrittenRow(***)"

    def row(self) -> SealedRow:
        """Return it as the patron cache takes it."""
        patron = Patron(
            patron_ref=self.ref,
            pin_check=self.pin,
            resident=self.resident,
            active=self.active,
            blocks=self.blocks,
            restricted=self.restricted,
            enter_from=self.enter_from,
            valid_until=self.valid_until,
            hold_from=self.hold_from,
            hold_until=self.hold_until,
            tags=self.tags,
            weak_pin=self.weak_pin,
        )
        return SealedRow(self.key, patron, self.pin_changed)


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
    if not isinstance(row, SealedRow):
        raise ValueError("it is a removal")  # noqa: TRY004 - refused like any other wrong line
    return row


def reread(line: bytes) -> Line:
    r"""Read a line that :func:`parse` has taken before, with or without its ``\n``.

    It is faster, since it does not check again for a repeated field.

    Raises:
        ValueError: it is not the same line; one that is another line's may be read as that.
    """
    written = _typed(line)
    if written is None:
        raise ValueError("row: not what it was")
    return written if isinstance(written, Removal) else written.row()


def parse(line: bytes) -> WrittenRow | Removal:
    """Check a line in half the time that it takes to decode it.

    Only our own writing, byte by byte, is believed at once: it can't hide a repeated field.

    Raises:
        ValueError: not UTF-8, not JSON, a field twice, missing, unknown or wrong; the text says
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
    """Return what is wrong with decoded JSON that is not a `part`; quotes nothing of it."""
    return next(_problems(value, part), "row: not as it should be")


def _typed(line: bytes) -> WrittenRow | Removal | None:
    for decoder in (_ROWS, _REMOVALS):
        try:
            return decoder.decode(line)
        except (ValueError, RecursionError):
            continue
    return None


def _problems(value: object, part: type[Struct]) -> Iterator[str]:
    if not isinstance(value, dict):
        yield "row: give an object"
        return
    fields = {field.encode_name: field for field in msgspec.structs.fields(part)}
    if value.keys() - fields.keys():
        yield "row: an unknown field stands in it; leave it out"
    for name, field in fields.items():
        if name not in value and field.required:
            yield f"{name}: missing; {_hint(field.type)}"
        elif name in value and _refusal(value[name], field.type) is not None:
            yield f"{name}: {_hint(field.type)}"
    if sentence := _refusal(value, part):
        yield sentence


def _refusal(value: object, wanted: Any) -> str | None:
    """Return None if `value` fits, else our own sentence on it, which may be empty."""
    try:
        msgspec.convert(value, wanted)
    except msgspec.ValidationError as refused:
        return str(refused.__cause__ or "")
    return None


def _hint(wanted: Any) -> str:
    descriptions = (meta.description for meta in get_args(wanted) if isinstance(meta, Meta))
    return next(descriptions, None) or "not as it should be"


def _written(line: Line) -> WrittenRow | Removal:
    if isinstance(line, Removal):
        return line
    patron = line.patron
    return WrittenRow(
        key=line.row_key,
        ref=patron.patron_ref,
        pin=patron.pin_check,
        resident=patron.resident,
        active=patron.active,
        blocks=patron.blocks,
        restricted=patron.restricted,
        enter_from=patron.enter_from,
        valid_until=patron.valid_until,
        hold_from=patron.hold_from,
        hold_until=patron.hold_until,
        tags=patron.tags,
        pin_changed=line.pin_changed,
        weak_pin=patron.weak_pin,
    )
