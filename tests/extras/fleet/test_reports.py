"""A branch's report: its bytes, its signature, and which of two a hub believes."""

from __future__ import annotations

from base64 import b64encode
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorctl.access.calendar import Mode
from doorctl.core.errors import KeyFileError
from doorctl.extras.fleet.hub import APART, SILENT_AFTER, Doubt, Reports, keys_in
from doorctl.extras.fleet.reports import (
    AT,
    MOST_BYTES,
    PARTS,
    SIGNATURE,
    NightCounts,
    StandingAlarm,
    Status,
    body_of_part,
    headers_of_report,
    read_report,
    signed_text,
)
from doorctl.store.signing_keys import create_signing_key
from doorctl.sync.signing import SigningKey
from doorctl.web.staff.branch_state import Lockdown

NOW = datetime(2026, 12, 7, 9, 0, tzinfo=UTC)
KEY, OTHERS = SigningKey(bytes(32)), SigningKey(bytes(31) + b"1")

STATUS = Status(
    name="Randers Bibliotek, Øst",
    version="0.3.0",
    door="locked",
    clock="trusted",
    lockdown=Lockdown.NONE,
    mode=Mode.SELF_SERVICE,
    by_card=False,
    until=NOW + timedelta(hours=3),
    then=Mode.CLOSED,
    until_lifted=False,
    alarms=(StandingAlarm("reader_lost", NOW, 2, False),),
    faults=("Card reader",),
    register_at=NOW - timedelta(hours=4),
)
NIGHT = NightCounts(NOW - timedelta(hours=12), NOW - timedelta(hours=3), 15, None, 2)
PART_OF: dict[str, Status | NightCounts] = {"status": STATUS, "night": NIGHT}


def said(
    name: str = "status", at: datetime = NOW, key: SigningKey = KEY, branch: str = "oest"
) -> tuple[dict[str, str], bytes]:
    """Return a report's headers and body."""
    body = body_of_part(PART_OF[name])
    return headers_of_report(branch, name, at, body, key), body


@pytest.mark.parametrize("name", PARTS)
def test_a_report_is_read_as_it_was_said(name: str) -> None:
    """Each part, with its time; the bytes of the same part are the same."""
    headers, body = said(name)

    report = read_report("oest", name, headers, body, KEY.verify_key())

    assert report is not None
    assert (report.part, report.at) == (PART_OF[name], NOW)
    assert body == body_of_part(PART_OF[name])


def test_nothing_of_a_report_can_be_changed() -> None:
    """Not whose it is, which part, when, a byte of it, nor who signed it."""
    headers, body = said()
    later = (NOW + timedelta(seconds=1)).isoformat()
    key = KEY.verify_key()

    assert read_report("oest", "status", headers, body, key) is not None
    assert read_report("syd", "status", headers, body, key) is None
    assert read_report("oest", "night", headers, body, key) is None
    assert read_report("oest", "secret", headers, body, key) is None
    assert read_report("oest", "status", headers | {AT: later}, body, key) is None
    assert read_report("oest", "status", headers, body.replace(b"locked", b"open"), key) is None
    assert read_report("oest", "status", headers, body, OTHERS.verify_key()) is None
    assert read_report("oest", "status", None, body, key) is None


@pytest.mark.parametrize(
    ("at", "body"),
    [
        (NOW.isoformat(), b"{}"),
        (NOW.isoformat(), b"x" * (MOST_BYTES + 1)),
        (NOW.replace(tzinfo=None).isoformat(), body_of_part(STATUS)),
        ("9999-12-31T23:59:59+00:00", body_of_part(STATUS)),
        ("1999-12-31T23:59:59+00:00", body_of_part(STATUS)),
        ("soon", body_of_part(STATUS)),
        ("", body_of_part(STATUS)),
    ],
)
def test_what_a_branch_signed_may_still_be_no_report(at: str, body: bytes) -> None:
    """A captured branch signs what it likes; none of it is shown or ends the hub."""
    signature = b64encode(KEY.sign(signed_text("oest", "status", at, body))).decode()

    headers = {AT: at, SIGNATURE: signature}

    assert read_report("oest", "status", headers, body, KEY.verify_key()) is None


@given(
    headers=st.dictionaries(st.sampled_from([AT, SIGNATURE, "x"]), st.text(max_size=100)),
    body=st.binary(max_size=300),
    name=st.sampled_from([*PARTS, "other"]),
)
def test_no_message_of_a_stranger_is_a_report(
    headers: dict[str, str], body: bytes, name: str
) -> None:
    """Whatever its headers and bytes are."""
    assert read_report("oest", name, headers, body, KEY.verify_key()) is None


def held() -> Reports:
    """Return a hub's reports, which knows oest, and syd whose key can't be read."""
    reports = Reports()
    reports.know({"oest": KEY.verify_key(), "syd": None})
    return reports


def test_only_the_newest_counts() -> None:
    """An older one, and the same again, change nothing: a server may keep and replay them."""
    reports = held()
    reports.take("oest", "status", *said(at=NOW), NOW)
    reports.take("oest", "status", *said(at=NOW - timedelta(seconds=1)), NOW)
    reports.take("oest", "night", *said("night", at=NOW - timedelta(minutes=1)), NOW)

    oest, syd = reports.branches()

    assert (oest.status, oest.night, oest.at, oest.doubt) == (STATUS, NIGHT, NOW, None)
    assert (syd.status, syd.at, syd.doubt) == (None, None, Doubt.KEY)


def test_a_report_is_doubted_until_the_next_good_one() -> None:
    """One that another signed, or that comes from the future, is told and not held."""
    reports = held()
    reports.take("oest", "status", *said(key=OTHERS), NOW)
    assert reports.branches()[0].doubt is Doubt.SIGNATURE
    reports.take("oest", "status", *said(at=NOW + APART + timedelta(seconds=1)), NOW)
    assert reports.branches()[0].doubt is Doubt.CLOCK
    assert reports.branches()[0].status is None
    reports.take("oest", "status", *said(at=NOW + APART), NOW)
    assert reports.branches()[0].doubt is None


def test_a_branch_that_is_not_known_says_nothing() -> None:
    """Nor is an answer of the server's own a report."""
    reports = held()
    reports.take("nord", "status", *said(branch="nord"), NOW)
    reports.take("oest", "status", {"Status": "404"}, b"", NOW)

    assert [each.branch for each in reports.branches()] == ["oest", "syd"]
    assert reports.branches()[0].doubt is None


def test_another_key_begins_anew() -> None:
    """What the old key signed is forgotten, and a branch whose key file is gone."""
    reports = held()
    reports.take("oest", "status", *said(), NOW)
    reports.know({"oest": KEY.verify_key()})
    assert reports.branches()[0].status == STATUS
    reports.know({"oest": OTHERS.verify_key()})
    assert reports.branches()[0].status is None
    reports.know({})
    assert reports.branches() == ()


def test_silence_begins_after_a_quarter_of_an_hour() -> None:
    """And before the first word."""
    reports = held()
    assert reports.branches()[0].silent(NOW)
    reports.take("oest", "status", *said(), NOW)
    oest = reports.branches()[0]
    assert not oest.silent(NOW + SILENT_AFTER)
    assert oest.silent(NOW + SILENT_AFTER + timedelta(seconds=1))


def test_the_keys_of_a_directory(tmp_path: Path) -> None:
    """Each file is a branch's, one that is no key included; no directory is a key file's fault."""
    create_signing_key(tmp_path / "o.key", tmp_path / "oest.pub")
    (tmp_path / "syd.pub").write_text("no key", encoding="utf-8")
    (tmp_path / "Notes.txt").write_text("", encoding="utf-8")

    keys = keys_in(tmp_path)

    assert list(keys) == ["oest", "syd"]
    assert (keys["oest"] is None, keys["syd"] is None) == (False, True)
    with pytest.raises(KeyFileError, match="put each branch's key there"):
        keys_in(tmp_path / "nowhere")
