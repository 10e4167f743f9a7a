"""Any line that a push can hold."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from hypothesis import strategies as st

from doorctl.access.patron import Patron, SealedRow
from doorctl.sync.wire import Line, Removal

_REFS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=64)
_CODES = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=32)
_TAGS = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=64).filter(
    lambda tag: tag == tag.strip(" ")
)
_DAYS = st.none() | st.dates()


@st.composite
def _patrons(draw: st.DrawFn) -> Patron:
    hold: Sequence[date | None] = sorted(draw(st.lists(st.dates(), max_size=2)))
    hold_from, hold_until = [*hold, None, None][:2]
    return Patron(
        patron_ref=draw(_REFS),
        pin_check=draw(st.none() | st.binary(min_size=32, max_size=32)),
        resident=draw(st.booleans()),
        active=draw(st.booleans()),
        blocks=draw(st.frozensets(_CODES, max_size=4)),
        restricted=draw(st.booleans()),
        enter_from=draw(_DAYS),
        valid_until=draw(_DAYS),
        hold_from=hold_from,
        hold_until=hold_until,
        tags=draw(st.frozensets(_TAGS, max_size=4)),
        weak_pin=draw(st.booleans()),
    )


ROWS = st.builds(SealedRow, st.binary(min_size=16, max_size=16), _patrons(), _DAYS)
LINES: st.SearchStrategy[Line] = ROWS | st.builds(Removal, _REFS)
