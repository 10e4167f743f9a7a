"""How many tries an account and an address get; the counts survive a restart.

The waits grow and end: nobody can lock a colleague out for good. They count by CLOCK_BOOTTIME; a
restart starts a wait afresh. Failures of unknown names count in the same way.

A browser that has signed in to an account before proves it by a cookie and has a count of its own:
deliberate failures from elsewhere don't lock it out (OWASP's device cookie).

A new browser has no cookie. So an address without a failure of the last day gets one try though
the account waits: an attacker who fails on purpose from few addresses keeps no colleague out.
Of an account these are at most :data:`NEWCOMERS_A_DAY` on end, so that many addresses are no way
around the waits: with them it allows 200 tries a day, on passwords of 12 characters and more.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from types import MappingProxyType

from doorctl.core.moments import BootTime

ACCOUNT, BROWSER, ADDRESS, NEWCOMER = "account", "browser", "address", "newcomer"
"""What failures are counted by."""

WAIT_AFTER_S = MappingProxyType({5: 30, 6: 60, 7: 120, 8: 300})
"""Failures in a row -> seconds until the next try; four honest slips are free."""

LONGEST_WAIT_S = 900
"""The wait after more failures: it allows 96 tries a day, and a colleague waits 15 minutes."""

ADDRESS_BURST = 20
"""Failures of an address before it has to wait: a whole town hall may share one address."""

ADDRESS_REFILL_MS = 60_000
"""One failure of an address is forgiven each minute."""

NEWCOMERS_A_DAY = 100
"""Tries of new addresses at an account that waits; NIST SP 800-63B allows 100 failures in a row."""

KEPT_MS = 24 * 3_600_000
"""A count without a new failure for so long is forgotten."""

MOST_ACCOUNTS = 8
"""The most accounts in one browser's cookie; the oldest one is forgotten first."""

_SHOWN = re.compile(r"([0-9a-f]{16})~([0-9a-f]{32})")
"""A browser's number and proof, for one account."""

NETWORK_BITS = 64
"""The length of an IPv6 network's prefix: a household or office has all its addresses."""


_NEWCOMER_MS = 24 * 3_600_000 // NEWCOMERS_A_DAY


@dataclass(frozen=True, slots=True)
class Failures:
    """The failures of an account or an address, and the time of the last one.

    For an account, `count` is how many failed in a row; for an address, and for an account's
    newcomers, it is the milliseconds until all are forgiven.
    """

    count: int = 0
    at: BootTime | None = None

    def forgotten(self, now: BootTime) -> bool:
        """Tell whether the failures no longer count."""
        return self.at is None or now.ms_since(self.at) >= KEPT_MS


NONE = Failures()


def account_wait_s(failures: Failures, now: BootTime) -> int:
    """Return for how many more seconds an account waits, rounded up; 0 for not at all."""
    if failures.at is None:
        return 0
    longest = max(WAIT_AFTER_S)
    wait_s = LONGEST_WAIT_S if failures.count > longest else WAIT_AFTER_S.get(failures.count, 0)
    return _seconds(wait_s * 1000 - now.ms_since(failures.at))


def account_charged(failures: Failures, now: BootTime) -> Failures:
    """Count a failure of an account, before it is known to be one."""
    before = 0 if failures.forgotten(now) else failures.count
    return Failures(min(before, max(WAIT_AFTER_S)) + 1, now)


def address_wait_s(failures: Failures, now: BootTime) -> int:
    """Return for how many more seconds an address waits, rounded up; 0 for not at all."""
    return _seconds(_debt_ms(failures, now) - (ADDRESS_BURST - 1) * ADDRESS_REFILL_MS)


def address_charged(failures: Failures, now: BootTime) -> Failures:
    """Count a failure from an address, before it is known to be one."""
    return Failures(_debt_ms(failures, now) + ADDRESS_REFILL_MS, now)


def address_refunded(failures: Failures, now: BootTime) -> Failures:
    """Take back the last failure, for the sign-in was right; the others stay."""
    return Failures(max(0, _debt_ms(failures, now) - ADDRESS_REFILL_MS), now)


def newcomer_may(address: Failures, newcomers: Failures, now: BootTime) -> bool:
    """Tell whether an address may try an account that waits, by both counts."""
    spent = _debt_ms(newcomers, now) > (NEWCOMERS_A_DAY - 1) * _NEWCOMER_MS
    return address.forgotten(now) and not spent


def newcomer_charged(newcomers: Failures, now: BootTime) -> Failures:
    """Count such a try; it is forgiven after a hundredth of a day."""
    return Failures(_debt_ms(newcomers, now) + _NEWCOMER_MS, now)


def browser_known(key: bytes, name: str, shown: str) -> str | None:
    """Return a browser's number, where its cookie proves that it has signed in to an account.

    A person who has the branch's key can make such cookies.
    """
    pairs: list[tuple[str, str]] = _SHOWN.findall(shown)
    for number, proof in pairs[:MOST_ACCOUNTS]:
        if hmac.compare_digest(proof, _proof(key, name, number)):
            return number
    return None


def browser_cookie(key: bytes, name: str, shown: str) -> str:
    """Return the cookie by which :func:`browser_known` knows a browser that has just signed in.

    It holds nothing that identifies the person without the key.
    """
    if browser_known(key, name, shown) is not None:
        return shown
    number, kept = secrets.token_hex(8), ["~".join(parts) for parts in _SHOWN.findall(shown)]
    return ".".join([*kept[1 - MOST_ACCOUNTS :], f"{number}~{_proof(key, name, number)}"])


def _proof(key: bytes, name: str, number: str) -> str:
    return hmac.new(key, f"browser\0{name}\0{number}".encode(), hashlib.sha256).hexdigest()[:32]


def caller(address: str) -> str:
    """Return what an address counts as: itself, or its network for IPv6. Takes any text."""
    try:
        ip = ip_address(address)
    except ValueError:
        return address
    if not isinstance(ip, IPv6Address):
        return str(ip)
    if ip.ipv4_mapped is not None:
        return str(ip.ipv4_mapped)
    return f"{int(ip) >> NETWORK_BITS:x}::"


def _debt_ms(failures: Failures, now: BootTime) -> int:
    return 0 if failures.at is None else max(0, failures.count - now.ms_since(failures.at))


def _seconds(ms: int) -> int:
    return max(0, -(-ms // 1000))
