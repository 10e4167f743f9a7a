"""The report of a purge as an auditor reads it: each field, how it is signed, by which keys."""

from __future__ import annotations

import hmac
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from doorctl.core.errors import InputError
from doorctl.core.masked import InstallationKey
from doorctl.core.moments import ClockState, Moment
from doorctl.privacy.purge_proof import Canaries, Found, Proof, ReportSigner, Trim, prove
from doorctl.privacy.retention import PurgeReport

AT = datetime(2026, 5, 4, 12, 30, 1, 5, tzinfo=UTC)
PROOF = Proof(
    report=PurgeReport(7, AT - timedelta(days=30), (0, 3, 3), held=2, ahead=1),
    at=AT,
    clock="trusted",
    trim=Trim.NOT_PERMITTED,
    searched=401,
    found=Found(frozenset(), 4096, ("visits.db-wal", "visits.db")),
    residue=5,
    canaries_kept=31,
    canaries_seen=30,
)
REPORT = {
    "format": "doorctl-purge/1",
    "at": "2026-05-04T12:30:01+00:00",
    "clock": "trusted",
    "deleted": 7,
    "cutoff": "2026-04-04T12:30:01+00:00",
    "complete": False,
    "postponed": False,
    "left": 0,
    "clock_doubt": PurgeReport().doubt.value,
    "held": 2,
    "ahead": 1,
    "checkpoint": [0, 3, 3],
    "trim": "not permitted",
    "searched": 401,
    "bytes_read": 4096,
    "files": ["visits.db", "visits.db-wal"],
    "residue": 5,
    "canaries_kept": 31,
    "canaries_seen": 30,
    "clean": False,
}
KEY = b"k" * 32


def mac(key: bytes, text: bytes) -> bytes:
    """Return HMAC-SHA256, as an auditor works it out."""
    return hmac.new(key, text, "sha256").digest()


def test_a_report_has_these_fields() -> None:
    """In this order and by these names, which reports that were kept have as well."""
    assert list(PROOF.as_dict().items()) == list(REPORT.items())


def test_a_purge_that_wrote_nothing_has_no_checkpoint() -> None:
    """An empty list, since there is none to tell of."""
    fields = Proof(PurgeReport(), AT, "trusted", Trim.DONE, 0, PROOF.found, 0, 0, 0).as_dict()

    assert fields["checkpoint"] == []


@pytest.mark.usefixtures("far_east")
def test_a_proof_has_its_own_time_in_utc_and_what_the_clock_was_worth() -> None:
    """Wherever the machine believes to be."""
    moment = Moment(AT, AT, ClockState.HOLDOVER)
    proof = prove(
        PROOF.report,
        moment,
        Canaries(InstallationKey(KEY)),
        kept=frozenset(),
        still_kept=lambda traces: traces,
        search=lambda _needles: PROOF.found,
        trim=lambda: Trim.DONE,
    )

    assert (proof.at, proof.at.tzinfo, proof.clock) == (AT, UTC, "holdover")


def test_an_auditor_works_the_signature_out() -> None:
    """By what the documentation says of it, and a key derived for it alone; a file to be read."""
    fields: dict[str, Any] = {"format": "doorctl-purge/1", "files": ["æ"], "b": 1}
    content = ReportSigner(InstallationKey(KEY)).signed(fields)
    text = b'{"b":1,"files":["\\u00e6"],"format":"doorctl-purge/1"}'
    signature = mac(mac(KEY, b"purge report"), text).hex()

    assert content.decode() == (
        '{\n  "format": "doorctl-purge/1",\n  "files": [\n    "æ"\n  ],\n  "b": 1,\n'
        f'  "signature": "{signature}"\n}}\n'
    )
    assert ReportSigner(InstallationKey(KEY)).verified(content) == fields


def test_a_wrong_signature_says_what_may_be() -> None:
    """The whole sentence."""
    with pytest.raises(InputError) as caught:
        ReportSigner(InstallationKey(KEY)).verified(json.dumps(REPORT).encode())

    assert str(caught.value) == (
        "the signature is wrong: the report was changed, or another installation's key signed it"
    )


def test_what_is_no_report_is_said_to_be_none() -> None:
    """The whole sentence."""
    with pytest.raises(InputError) as caught:
        ReportSigner(InstallationKey(KEY)).verified(b"[]")

    assert str(caught.value) == "that is no purge report"


def test_a_canary_is_found_again_by_the_key_alone() -> None:
    """As it is said to be derived: those of a month ago were made by the release of that time."""
    canary = Canaries(InstallationKey(KEY)).of(AT.date())

    assert canary == mac(mac(KEY, b"canary"), b"2026-05-04")[:16]
