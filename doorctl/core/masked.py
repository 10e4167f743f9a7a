"""Values that cannot be printed: PINs, card and CPR numbers, keys.

``repr``, ``str``, ``format``, a traceback, a log line and a failing assertion show ``***``. The
only access is :meth:`Masked.reveal`, which a reviewer can search for. They can't be pickled.
"""

from __future__ import annotations

import hmac
from enum import Enum
from typing import Generic, NoReturn, TypeVar

SecretT = TypeVar("SecretT", str, bytes)


class Masked(Generic[SecretT]):
    """Hold a secret text or bytes; equal by value (in constant time), never shown."""

    __slots__ = ("_secret",)

    def __init__(self, secret: SecretT) -> None:
        self._secret: SecretT = secret

    def reveal(self) -> SecretT:
        """Return the secret, for the few places that need it."""
        return self._secret

    def __repr__(self) -> str:
        return f"{type(self).__name__}(***)"

    __str__ = __repr__

    def __format__(self, _spec: str) -> str:
        return repr(self)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and hmac.compare_digest(
            _as_bytes(self._secret), _as_bytes(other._secret)
        )

    def __hash__(self) -> int:
        return hash((type(self), self._secret))

    def __reduce__(self) -> NoReturn:
        message = f"{type(self).__name__} must not leave the process"
        raise TypeError(message)


class Pin(Masked[str]):
    """The digits that a patron typed, or that the library system knows."""

    __slots__ = ()


class StretchedKey(Masked[bytes]):
    """Argon2id's 32 bytes for an identifier (design: ``K``), and 32 for each later key."""

    __slots__ = ()


class InstallationKey(Masked[bytes]):
    """The branch's secret bytes; without them a stolen database reveals nothing.

    32 of the first key, and 32 of each that was laid over it since (`doorctl keys rotate`).
    """

    __slots__ = ()


class IdentifierKind(Enum):
    """The kind of number; it is part of what is sealed."""

    CARD = "card"
    CODE = "code"
    CPR = "cpr"


class Identifier(Masked[str]):
    """A normalised plastic-card number or a CPR number of ten digits."""

    __slots__ = ("kind",)

    def __init__(self, kind: IdentifierKind, number: str) -> None:
        super().__init__(f"{kind.value}:{number}")
        self.kind = kind

    def __repr__(self) -> str:
        return f"Identifier({self.kind.value} ***)"

    __str__ = __repr__


def _as_bytes(secret: str | bytes) -> bytes:
    return secret.encode() if isinstance(secret, str) else secret
