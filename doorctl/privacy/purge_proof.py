"""The proof of a purge: canaries, a search of raw bytes for what was deleted, a signed report.

A canary is one row a day that is no visit: a purge has worked if the old ones are gone. Each is
derived from the installation key and the date. So none has to be stored elsewhere, and a thief of
the disk can't tell it from a card's row key.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from enum import Enum
from typing import Any

from doorctl.core.errors import InputError
from doorctl.core.masked import InstallationKey
from doorctl.core.moments import Moment
from doorctl.privacy.retention import PurgeReport

CANARY_BYTES = 16
"""As long as a row key."""

LOOKED_BACK = timedelta(days=400)
"""How far back expired canaries are looked for: a branch may have been shut for a year."""


class Canaries:
    """Derive canaries: ``HMAC-SHA256(HMAC-SHA256(key, "canary"), "2026-05-04")``, cut.

    The installation key is not kept.
    """

    def __init__(self, key: InstallationKey) -> None:
        self._key = InstallationKey(hmac.digest(key.reveal(), b"canary", "sha256"))

    def of(self, day: date) -> bytes:
        """Return a UTC day's canary."""
        text = day.isoformat().encode()
        return hmac.digest(self._key.reveal(), text, "sha256")[:CANARY_BYTES]

    def expired(self, cutoff: datetime) -> frozenset[bytes]:
        """Return those of the days that ended before a UTC time, :data:`LOOKED_BACK` at most.

        A hold may still keep some of them.
        """
        days = (cutoff.date() - timedelta(days=back) for back in range(1, LOOKED_BACK.days + 1))
        return frozenset(map(self.of, days))


FORMAT = "doorctl-purge/1"


class Trim(Enum):
    """What happened to the blocks that the file system no longer uses."""

    DONE = "done"
    NOT_PERMITTED = "not permitted"
    NOT_SUPPORTED = "not supported"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Found:
    """What a search of raw bytes found.

    `needles`, the wanted byte strings that were found, are never shown; `files` has only a number
    for a file that has no name any more.
    """

    needles: frozenset[bytes] = field(repr=False)
    bytes_read: int
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Proof:
    """What is known after a purge; it names no person.

    `residue` counts the deleted byte strings that still stand in a file, and in no row that is
    kept. `canaries_seen` are those of `canaries_kept` that the search found: all, or it did not
    search well.
    """

    report: PurgeReport
    at: datetime
    clock: str
    trim: Trim
    searched: int
    found: Found
    residue: int
    canaries_kept: int
    canaries_seen: int

    @property
    def clean(self) -> bool:
        """Whether nothing is left, as far as the search proves it."""
        seen_all = self.canaries_seen == self.canaries_kept
        return self.report.complete and not (self.residue or self.report.ahead) and seen_all

    def as_dict(self) -> dict[str, Any]:
        """Return the proof as it is signed and printed."""
        return {
            "format": FORMAT,
            "at": self.at.isoformat(timespec="seconds"),
            "clock": self.clock,
            **self.report.as_dict(),
            "held": self.report.held,
            "ahead": self.report.ahead,
            "checkpoint": list(self.report.checkpoint or ()),
            "trim": self.trim.value,
            "searched": self.searched,
            "bytes_read": self.found.bytes_read,
            "files": sorted(self.found.files),
            "residue": self.residue,
            "canaries_kept": self.canaries_kept,
            "canaries_seen": self.canaries_seen,
            "clean": self.clean,
        }


def prove(
    report: PurgeReport,
    moment: Moment,
    canaries: Canaries,
    *,
    kept: frozenset[bytes],
    still_kept: Callable[[frozenset[bytes]], frozenset[bytes]],
    search: Callable[[frozenset[bytes]], Found],
    trim: Callable[[], Trim],
) -> Proof:
    """Search for what a purge has deleted in every byte that it could have left.

    `report` is of a purge. The canaries `kept` after it are looked for too:
    a search that misses them would miss a visit. `still_kept` returns those of some traces that a
    row holds now: the patron may have come again during the search. `search` reads every file that
    a deleted row could have left something in.

    Raises StoreError: the files could not be read; nothing is proved.
    """
    assert report.cutoff is not None  # noqa: S101 - as said above
    gone = (report.traces | canaries.expired(report.cutoff)) - kept
    trimmed = trim()
    found = search(gone | kept)
    residue = found.needles & gone
    if residue:
        residue -= still_kept(residue)
    return Proof(
        report=report,
        at=moment.local.astimezone(UTC),
        clock=moment.state.value,
        trim=trimmed,
        searched=len(gone),
        found=found,
        residue=len(residue),
        canaries_kept=len(kept),
        canaries_seen=len(found.needles & kept),
    )


class ReportSigner:
    """Sign reports, and check them: HMAC-SHA256 in ``signature``.

    The key is ``HMAC-SHA256(installation key, "purge report")``, so that an auditor can be given
    a key that opens nothing else. The installation key is not kept.
    """

    def __init__(self, key: InstallationKey) -> None:
        self._key = InstallationKey(hmac.digest(key.reveal(), b"purge report", "sha256"))

    def signed(self, fields: dict[str, Any]) -> bytes:
        """Return a report with its signature, as JSON for a file."""
        whole = {**fields, "signature": self._signature(fields)}
        return json.dumps(whole, indent=2, ensure_ascii=False).encode() + b"\n"

    def verified(self, content: bytes) -> dict[str, Any]:
        """Return a report that bears this installation's signature.

        Raises InputError: it is no report, it was changed, or another installation signed it.
        """
        try:
            fields = json.loads(content)
        except (ValueError, RecursionError):
            fields = None
        if not isinstance(fields, dict) or fields.get("format") != FORMAT:
            raise InputError("that is no purge report")
        signature = fields.pop("signature", None)
        wanted = self._signature(fields)
        if not isinstance(signature, str) or not hmac.compare_digest(
            signature.encode("utf-8", "replace"), wanted.encode()
        ):
            raise InputError(
                "the signature is wrong: the report was changed, or another installation's key "
                "signed it"
            )
        return fields

    def _signature(self, fields: dict[str, Any]) -> str:
        text = json.dumps(fields, sort_keys=True, separators=(",", ":"))
        return hmac.digest(self._key.reveal(), text.encode(), "sha256").hex()
