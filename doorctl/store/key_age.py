"""How old keys are, and when certificates end: both happen unseen."""

from __future__ import annotations

import base64
import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

KEY_LIFE = timedelta(days=3 * 365)
"""How long a library that has lost no Pi keeps a key."""

AHEAD = timedelta(days=30)
"""How long before its last day a key or certificate is told of."""

_VALIDITY = re.compile(
    rb"0.((?:\x17\r\d{12}|\x18\x0f\d{14})Z)((?:\x17\r\d{12}|\x18\x0f\d{14})Z)", re.DOTALL
)
"""Begin and end as RFC 5280, 4.1.2.5, has every certificate write them."""


class Days(NamedTuple):
    """From when until when a key or a certificate is to be used."""

    begins: datetime
    ends: datetime

    def near(self, now: datetime) -> bool:
        """Tell whether the end is told of; one that renews itself does so a third before it."""
        return now > self.ends - min(AHEAD, (self.ends - self.begins) / 4)


def days_of(certificate: Path) -> Days | None:
    """Return when a PEM file's first certificate is good; None where it does not say. OSError."""
    _, _, rest = certificate.read_bytes().partition(b"-----BEGIN CERTIFICATE-----")
    with suppress(ValueError):
        if found := _VALIDITY.search(base64.b64decode(rest.partition(b"-----END")[0])):
            return Days(*map(_time, found.groups()))
    return None


def _time(told: bytes) -> datetime:
    text = told[2:].decode()
    text = text if len(text) > len("yymmddHHMMSSZ") else f"20{text}"
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)


def key_days(path: Path) -> Days:
    """Return from when a key's file is, and until when it is to be used. OSError: there is none."""
    made = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    return Days(made, made + KEY_LIFE)
