"""A second factor beside the password: codes of an app (TOTP, RFC 6238), and a few on paper.

Each counts once. The app's need the time: while the clock is in doubt only those on paper count.
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from dataclasses import replace

import pyotp
from pyotp.exceptions import OTPVerificationError

from doorctl.accounts.account import (
    SecondFactor,
)
from doorctl.core.errors import (
    InputError,
)
from doorctl.core.masked import Masked
from doorctl.core.moments import Moment

RECOVERY_CODES = 10

RECOVERY_BYTES = 15
"""120 random bits: what is stored of them need not be slow to make (OWASP ASVS 5.0 V6.5.2)."""

WINDOW = 1
"""Steps of 30 seconds before and after: for a telephone's clock, and slow typing (RFC 6238)."""

_SECRET = re.compile(r"[A-Z2-7]{32}")


def new_secret(brought: str = "") -> Masked[str]:
    """Return 160 random bits in base32, as apps take them; or the secret a form brings back."""
    return Masked(brought if _SECRET.fullmatch(brought) else pyotp.random_base32())


def key_uri(secret: Masked[str], name: str, branch: str) -> Masked[str]:
    """Return the text that an app reads from a picture: the secret, its owner and the branch."""
    uri = pyotp.TOTP(secret.reveal()).provisioning_uri(name=name, issuer_name=branch)
    return Masked(uri)


def factor_begun(
    secret: Masked[str], code: str, moment: Moment
) -> tuple[SecondFactor, tuple[Masked[str], ...]]:
    """Return a second factor whose app has shown its first code, and its recovery codes.

    InputError: the code does not fit the secret now, or the clock is in doubt.
    """
    codes = tuple(_recovery_code() for _ in range(RECOVERY_CODES))
    factor = SecondFactor(secret, 0, frozenset(_mark(text.reveal()) for text in codes))
    used = factor_used(factor, code, moment)
    if used is None:
        raise InputError("the code is not the one that the app shows now")
    return used, codes


def factor_used(factor: SecondFactor, code: str, moment: Moment) -> SecondFactor | None:
    """Return a second factor after a code was used up; None where the code is wrong.

    Blanks and hyphens in the code don't count; while the clock is in doubt only recovery codes do.
    """
    mark = _mark(code)
    if mark in factor.recovery:
        return replace(factor, recovery=factor.recovery - {mark})
    if factor.secret is None or not moment.dependable:
        return None
    try:
        step = pyotp.TOTP(factor.secret.reveal()).verify_and_get_timecode(
            _plain(code), for_time=moment.local, valid_window=WINDOW
        )
    except OTPVerificationError:
        return None
    return replace(factor, step=step) if step > factor.step else None


def _recovery_code() -> Masked[str]:
    text = base64.b32encode(secrets.token_bytes(RECOVERY_BYTES)).decode().lower()
    return Masked("-".join(text[at : at + 4] for at in range(0, len(text), 4)))


def _plain(code: str) -> str:
    return re.sub(r"[\s-]", "", code).lower()


def _mark(code: str) -> bytes:
    return hashlib.sha256(_plain(code).encode(errors="replace")).digest()
