"""The table about who comes in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from msgspec import Meta

from doorctl.config.description import key

Tag = Annotated[str, Meta(pattern=r"^\S(.{0,30}\S)?\Z")]
BlockCode = Annotated[str, Meta(pattern=r"^[A-Z0-9]{1,8}\Z")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Who may come in."""

    require_pin: Annotated[
        bool,
        key("Whether a card needs its PIN. False: whoever finds a card can use it."),
    ] = True
    pin_length: Annotated[
        int,
        key("Digits of a PIN; FBS has four (ISO 9564 allows 4 to 12).", ge=4, le=12),
    ] = 4
    require_resident: Annotated[
        bool, key("Whether only those who live in the municipality come in.")
    ] = True
    minimum_age: Annotated[
        int,
        key(
            "Years. 14 is the national template's rule for open libraries (DPL CMS); 0 is no "
            "rule. Another value needs a full load.",
            ge=0,
            le=99,
        ),
    ] = 14
    deny_blocks: Annotated[
        tuple[BlockCode, ...],
        key(
            "Block codes of the library system that shut somebody out. Not E (debt) or W: a "
            "library may refuse lending for these, not the room (biblioteksloven, section 31).",
            allowed="a list of codes of 1 to 8 of A-Z and 0-9",
            max_length=64,
        ),
    ] = ("O", "D", "S", "U", "F")
    deny_other_blocks: Annotated[
        bool,
        key("Whether a code that doorctl does not know refuses too: any doubt refuses."),
    ] = True
    companions_max: Annotated[
        int,
        key(
            "How many companions a patron may tell with a key 1-9 in the seconds after the door "
            "opened; 0 asks nobody. It only counts heads and holds the door a little longer.",
            ge=0,
            le=9,
        ),
    ] = 0
    duress: Annotated[
        bool,
        key(
            "Whether a PIN whose last digit is one higher (9 becomes 0) opens like the right one "
            "and raises a silent alarm. It makes two of 10 000 PINs right."
        ),
    ] = False
    weak_pin: Annotated[
        Literal["allow", "warn", "refuse"],
        key(
            "What a right PIN comes to that is too easy to guess: a birthday, digits of the CPR "
            "number, the end of the card's number, 1234, 0000, 1212, 1122. To be of use it must "
            "be set where patrons are sealed too: with allow no row says which PINs are weak, for "
            "that would help a thief of the rows."
        ),
    ] = "warn"
    code_entry: Annotated[
        bool,
        key(
            "Whether an issued code of 6 to 9 digits and # opens without a card. It is typed on a "
            "keypad of its own line (keypad.port) or on the screen (panel.keypad)."
        ),
    ] = False
    first_card: Annotated[
        tuple[Tag, ...],
        key(
            "Whoever has to come in on each day, or staff open from the page, before anybody does "
            "by self-service: kinds of passes, such as cleaner, or patrons' tags. Staff's passes "
            "count in any case. Until then it is closed; at midnight it begins anew. Empty: no "
            "such rule.",
            allowed="a list of names of 1 to 32 characters",
            max_length=16,
        ),
    ] = ()
    max_cache_age_h: Annotated[
        float,
        key(
            "Hours since the last load or push after which nobody is let in by the old register. "
            "72 outlast a weekend without a network.",
            gt=0,
            le=8760,
        ),
    ] = 72.0
