"""What an audit entry may hold, and until when.

Bug (security review): a record of the audit log that somebody set to nothing counted as erased for
a person's sake.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorctl.core.errors import InputError
from doorctl.privacy.audit import KEPT, NOT_A_NAME, Action, Deed, account, erased_before
from doorctl.privacy.audit import KEY as KEY_NAME
from doorctl.privacy.audit_chain import (
    EMPTY,
    ERASED,
    SALT_BYTES,
    Head,
    Link,
    erased_numbers,
    head_of,
    linked,
    verify,
)

ZONE = ZoneInfo("Europe/Copenhagen")
KEY = bytes(range(16))


@pytest.mark.parametrize(
    ("why", "details"),
    [
        ("asked by 010170-1234", {}),
        ("x" * 201, {}),
        ("a\x1b[2J", {}),
        ("", {"identifier": "0101701234"}),
        ("", {"card": "3000001234"}),
    ],
)
def test_a_person_number_has_no_place_in_an_entry(why: str, details: dict[str, int | str]) -> None:
    """Nor has what can't be printed; the line does not repeat it."""
    with pytest.raises(InputError) as refusal:
        Deed(Action.PATRON_EXPLAINED, why=why, details=details)

    assert "0101701234" not in str(refusal.value)


@pytest.mark.parametrize("number", [9_999_999, 10_000_000, 20261126, 2**63 - 1])
def test_a_number_that_we_gave_ourselves_is_no_persons_number(number: int) -> None:
    """A push is numbered as high as its sender likes, and must not stay off the record for it."""
    deed = Deed(Action.PUSH_APPLIED, details={"epoch": number})

    assert deed.details["epoch"] == number


def test_a_keys_name_is_no_persons_number() -> None:
    """Eight hex digits that happen to be decimal ones, or the rotation would fail at its end.

    Bug (end-to-end test, on a busy machine): a key whose name is decimal digits alone (1 of 43)
    could not be put on the audit log: `keys adopt` ended in a refusal after all was done.
    """
    assert Deed(Action.KEY_ADOPTED, details={KEY_NAME: "30000012"}).details[KEY_NAME] == "30000012"


def test_no_deed_shows_at_whom_it_was() -> None:
    """A traceback may quote a deed."""
    shown = repr(Deed(Action.PATRON_EXPLAINED, (KEY,), "patron-1001"))

    assert "patron-1001" not in shown
    assert repr(KEY) not in shown


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("grethe", "grethe"),
        ("Karen\u00a0Testesen\n", "Karen?Testesen?"),
        ("", NOT_A_NAME),
        ("0101701234", NOT_A_NAME),
        ("x" * 300, "x" * 200),
    ],
)
def test_a_strange_name_keeps_nothing_off_the_record(name: str, kept: str) -> None:
    """It is made fit to be printed, and a number of a person is left out."""
    assert account(name) == kept


@given(st.text())
def test_an_account_is_always_printable(name: str) -> None:
    """Whatever stands in a push's `approved_by`."""
    assert account(name).isprintable()


@given(st.integers(0, 366 * 24 * 60), st.timedeltas(timedelta(0), timedelta(400)))
def test_an_entry_lives_at_least_184_and_at_most_185_days(minutes: int, age: timedelta) -> None:
    """Half a year has 184 days at the most; by one day more every record is due."""
    now = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
    cutoff = erased_before(now.astimezone(ZONE))

    if now - age < cutoff:
        assert age > KEPT - timedelta(days=1)
    if age >= KEPT:
        assert now - age < cutoff


def test_a_day_has_one_time_of_erasure() -> None:
    """So that the file is rewritten once a day, not at each push."""
    of_a_day = {erased_before(datetime(2026, 5, 4, hour, 59, tzinfo=UTC)) for hour in range(24)}

    assert len(of_a_day) == 1


OTHER = bytes(range(32))


def chain(records: list[bytes], erased: frozenset[int] = frozenset()) -> list[Link]:
    """Return the chain of some records, of which some numbers are erased."""
    links: list[Link] = []
    for record in records:
        salt = bytes([len(links)]) * SALT_BYTES
        links.append(linked(head_of(links[-1]) if links else EMPTY, record, salt))
    return [
        replace(link, record=None, salt=None) if link.number in erased else link for link in links
    ]


def explaining(numbers: Iterable[int]) -> bytes:
    """Return the record of an entry that says which were erased."""
    return json.dumps({"action": ERASED, "details": erased_numbers(numbers)}).encode()


RECORDS = st.lists(st.binary(min_size=1, max_size=20), min_size=1, max_size=8)
NUMBERS = st.frozensets(st.integers(1, 8))


@given(RECORDS, NUMBERS)
def test_a_chain_is_whole_whatever_was_erased(records: list[bytes], erased: frozenset[int]) -> None:
    """Record and salt of any entry can go; all that was kept elsewhere still agrees."""
    gone = {number for number in erased if number <= len(records)}
    kept = set(range(1, len(records) + 1)) - gone
    records = [*records, explaining(gone)]
    whole = chain(records)
    verdict = verify(chain(records, erased & gone), len(records), [head_of(link) for link in whole])

    assert verdict.broken is None
    assert (verdict.entries, verdict.erased) == (len(records), len(gone))
    assert verdict.head == head_of(whole[-1])
    assert verdict.erased_singly == len([one for one in gone if kept and one > min(kept)])


def _shifted(link: Link) -> Link:
    record, salt = link.record or b"", link.salt or b""
    return replace(link, salt=salt + record[:1], record=record[1:])


CHANGES: dict[str, Callable[[Link], Link]] = {
    "record": lambda link: replace(link, record=(link.record or b"") + b"!"),
    "salt": lambda link: replace(link, salt=OTHER),
    "shifted": _shifted,
    "half": lambda link: replace(link, salt=None if link.salt else OTHER),
    "invented": lambda link: replace(link, record=b"nobody looked", salt=OTHER),
    "commitment": lambda link: replace(link, commitment=OTHER),
    "number": lambda link: replace(link, number=link.number + 1),
    "hash": lambda link: replace(link, hash=OTHER),
}


@given(RECORDS, NUMBERS, st.sampled_from(sorted(CHANGES)), st.data())
def test_a_changed_entry_is_found_and_named(
    records: list[bytes], erased: frozenset[int], field: str, data: st.DataObject
) -> None:
    """Whatever of an entry is changed, the check says at which number."""
    links = chain(records, erased)
    at = data.draw(st.integers(0, len(links) - 1))
    links[at] = CHANGES[field](links[at])

    verdict = verify(links, len(links))

    assert verdict.broken == at + 1
    assert verdict.why


@given(RECORDS, NUMBERS, st.data())
def test_a_missing_entry_is_found(
    records: list[bytes], erased: frozenset[int], data: st.DataObject
) -> None:
    """One that was taken out is named, the last one too."""
    links = chain(records, erased)
    at = data.draw(st.integers(0, len(links) - 1))
    del links[at]

    assert verify(links, len(records)).broken == at + 1


@given(RECORDS, NUMBERS, st.data())
def test_an_entry_that_was_put_in_between_is_found(
    records: list[bytes], erased: frozenset[int], data: st.DataObject
) -> None:
    """One that follows rightly on its neighbour leaves the next one without its own."""
    links = chain(records, erased)
    at = data.draw(st.integers(0, len(links) - 1))
    before = head_of(links[at - 1]) if at else EMPTY
    forged = linked(before, b"forged", OTHER)
    later = [replace(link, number=link.number + 1) for link in links[at:]]

    assert verify([*links[:at], forged, *later], len(links)).broken == at + 2
    assert verify([*links[:at], forged, *links[at:]], len(links)).broken == at + 2


@given(RECORDS, st.data())
def test_two_entries_that_changed_places_are_found(
    records: list[bytes], data: st.DataObject
) -> None:
    """The order is what happened first."""
    links = chain([*records, b"the last"])
    at = data.draw(st.integers(0, len(links) - 2))
    one, other = links[at], links[at + 1]
    links[at : at + 2] = [replace(other, number=at + 1), replace(one, number=at + 2)]

    assert verify(links).broken == at + 1


@given(RECORDS, st.data())
def test_a_chain_that_was_written_anew_is_told_by_a_head_that_was_kept(
    records: list[bytes], data: st.DataObject
) -> None:
    """It is sound in itself, and differs from the anchor at the latest at the anchor's number."""
    whole = chain(records)
    at = data.draw(st.integers(0, len(records) - 1))
    anew = chain([*records[:at], b"nobody looked at anybody", *records[at + 1 :]])
    anchor = head_of(whole[-1])

    assert verify(anew, len(records)).broken is None
    assert verify(anew, len(records), [anchor]).broken == len(records)
    assert verify(whole, len(records), [anchor]).broken is None


@given(RECORDS, NUMBERS, NUMBERS)
def test_a_record_that_is_gone_and_that_no_later_entry_names_is_found(
    records: list[bytes], erased: frozenset[int], said: frozenset[int]
) -> None:
    """The lowest of them; those before the first that is kept went by age."""
    whole = [b"kept", *records, explaining(said), b"the last"]
    last = len(records) + 1
    gone = frozenset(number for number in erased if 1 < number <= last)

    verdict = verify(chain(whole, gone), len(whole))

    assert verdict.broken == min(gone - said, default=None)
    late = verify(chain([b"kept", explaining(gone), *records], frozenset({3} if records else ())))
    assert late.broken == 3, "an entry speaks of what was before it"


@pytest.mark.parametrize(
    ("record", "broken"),
    [
        (b'{"action":"subject_erased","details":{"rows":3}}', None),
        (b'{"action":"subject_erased","details":{"entries":1}}', 2),
        (b'{"action":"subject_erased","details":{"entries":1,"entries x to":9}}', 2),
        (b'{"action":"subject_erased","details":{"entries":1,"entries 1 to":"9"}}', 2),
        (b'{"action":"subject_erased","details":[]}', 2),
        (b'{"action":"visits_listed","details":{"entries 1 to":9}}', 2),
        (b'{"action":"visits_listed"}', 2),
        (b"[]", 2),
    ],
)
def test_what_an_entry_says_of_others_is_read_with_care(record: bytes, broken: int | None) -> None:
    """One from before numbers were said explains all before it; odd ones explain nothing."""
    assert verify(chain([b"kept", b"gone", record], frozenset({2}))).broken == broken


def test_numbers_are_said_in_runs() -> None:
    """An entry is short, however many looks at a person it has erased."""
    assert erased_numbers([5, 3, 4, 9]) == {"entries": 4, "entries 3 to": 5, "entries 9 to": 9}
    assert erased_numbers([]) == {"entries": 0}


def test_a_chain_that_was_cut_short_is_told_by_a_head_that_was_kept() -> None:
    """Even where the highest number was put back as well."""
    whole = chain([b"one", b"two", b"three"])

    verdict = verify(whole[:1], 1, [head_of(whole[2])])

    assert (verdict.broken, verdict.why) == (2, "it is missing")


def test_two_heads_of_one_number_can_not_both_be_right() -> None:
    """Whichever was given last."""
    whole = chain([b"one"])
    heads = [head_of(whole[0]), Head(1, OTHER)]

    for anchors in (heads, heads[::-1]):
        assert verify(whole, 1, anchors).broken == 1


def test_an_empty_chain_is_whole_and_has_one_beginning() -> None:
    """Number 0 of another chain is none of ours."""
    assert verify([], 0, [EMPTY]).broken is None
    assert verify([], 0, [Head(0, OTHER)]).broken == 0


def test_what_is_erased_can_not_be_tried_out() -> None:
    """The same record twice has two commitments: without its salt a guess proves nothing."""
    one, two = chain([b"the same", b"the same"])

    assert one.commitment != two.commitment


def test_a_head_is_read_as_it_is_written() -> None:
    """It travels as text: to the sync job, into a note and back."""
    head = head_of(chain([b"one"])[0])

    assert Head.read(str(head)) == head
    assert str(head).startswith("1:")


@pytest.mark.parametrize(
    "text", ["", "1", "1:", f"1:{'g' * 64}", f"01:{'a' * 64}", f"1:{'a' * 63}", f"-1:{'a' * 64}"]
)
def test_what_is_no_head_is_refused(text: str) -> None:
    """With what it looks like."""
    with pytest.raises(InputError, match="64 hex digits"):
        Head.read(text)


def test_no_link_shows_its_record() -> None:
    """A traceback may quote a link."""
    assert "secret" not in repr(chain([b"secret"])[0])
