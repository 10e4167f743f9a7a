from __future__ import annotations

import base64
import hashlib
import hmac

import argon2.low_level

from doorctl.core.masked import Identifier, IdentifierKind, InstallationKey
from doorctl.core.ports import Seal
from doorctl.store.keys import ITERATIONS, MEMORY_KIB, ArgonSealer, key_id

KEY = InstallationKey(bytes(range(32)))
CPR = Identifier(IdentifierKind.CPR, "0101701234")
CARD = Identifier(IdentifierKind.CARD, "0101701234")


def test_stretch_is_argon2id_of_the_kind_and_number_under_a_salt_made_of_the_key() -> None:
    """K is what RFC 9106 gives for the design's parameters, computed here the long way."""
    salt = hmac.new(bytes(range(32)), b"salt", hashlib.sha256).digest()
    encoded = argon2.low_level.hash_secret(
        b"cpr:0101701234", salt, 2, 256, 1, 32, argon2.low_level.Type.ID, version=0x13
    )

    stretched = ArgonSealer(KEY, memory_kib=256, iterations=2).stretch(CPR)

    assert argon2.low_level.verify_secret(encoded, b"cpr:0101701234", argon2.low_level.Type.ID)
    assert stretched.reveal() == base64.b64decode(encoded.rsplit(b"$", 1)[1] + b"=")


def test_stretch_never_changes_from_one_release_to_the_next() -> None:
    """A known answer: another one would make every sealed row in the field unreadable."""
    stretched = ArgonSealer(KEY, memory_kib=64, iterations=1).stretch(CPR)

    assert (
        stretched.reveal().hex()
        == "0e3a879751479856acccb4275600d2b56771971b3549d8edfaa7c08e08a1c007"
    )


def test_kind_key_and_costs_each_give_another_key() -> None:
    """A number typed as a card never finds a CPR's row, nor does another key or another cost."""
    other_key = InstallationKey(bytes(32))
    keys = {
        sealer.stretch(identifier).reveal()
        for sealer, identifier in [
            (ArgonSealer(KEY, 64, 1), CPR),
            (ArgonSealer(KEY, 64, 1), CARD),
            (ArgonSealer(other_key, 64, 1), CPR),
            (ArgonSealer(KEY, 72, 1), CPR),
            (ArgonSealer(KEY, 64, 2), CPR),
        ]
    }

    assert len(keys) == 5


def test_default_costs_are_owasps_minimum() -> None:
    """Whoever names no costs gets 19 MiB and 2 passes."""
    assert (MEMORY_KIB, ITERATIONS) == (19456, 2)
    assert ArgonSealer(KEY).seal == Seal(key_id(KEY), 19456, 2)


def test_key_id_names_the_key_and_shows_nothing_of_it() -> None:
    """The id is 8 hex digits of an HMAC, so no byte of the key itself."""
    expected = hmac.new(KEY.reveal(), b"id", hashlib.sha256).hexdigest()[:8]

    assert key_id(KEY) == expected
    assert key_id(KEY) not in KEY.reveal().hex()
