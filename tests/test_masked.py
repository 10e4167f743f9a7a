from __future__ import annotations

import copy
import json
import logging
import pickle
import pprint
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorctl.core.masked import (
    CardRead,
    Identifier,
    IdentifierKind,
    InstallationKey,
    KeyPressed,
    Masked,
    Pin,
    StretchedKey,
)

CARD = Identifier(IdentifierKind.CARD, "3000001234")
CPR = Identifier(IdentifierKind.CPR, "0101701234")
KEY_BYTES = b"an installation key of 32 bytes."

SECRETS: tuple[tuple[Masked[str] | Masked[bytes], str], ...] = (
    (Pin("4711"), "4711"),
    (CARD, "3000001234"),
    (CPR, "0101701234"),
    (StretchedKey(KEY_BYTES), "installation key of"),
    (InstallationKey(KEY_BYTES), "installation key of"),
)

Hidden = Masked[str] | Masked[bytes]


@dataclass(frozen=True)
class Holder:
    """Any value of ours that carries a secret."""

    secret: Hidden


SHOWINGS: dict[str, Callable[[Hidden], str]] = {
    "repr": repr,
    "str": str,
    "ascii": ascii,
    "format": format,
    "format with a width": lambda secret: format(secret, ">40"),
    "f-string": lambda secret: f"{secret} {secret!s} {secret!r} {secret!a} {secret:x<30}",
    "percent": lambda secret: "%s %r %a" % (secret, secret, secret),  # noqa: UP031 - what is tested
    "str.format": lambda secret: "{} {!r} {:>9}".format(secret, secret, secret),  # noqa: UP032 - as above
    "in a list": lambda secret: str([secret]),
    "in a dict": lambda secret: str({"pin": secret}) + str({secret: 1}),
    "in a dataclass": lambda secret: repr(Holder(secret)) + str(replace(Holder(secret))),
    "pretty": lambda secret: pprint.pformat([secret]),
    "an exception": lambda secret: str(ValueError(secret)) + repr(ValueError("bad", secret)),
}


@pytest.mark.parametrize("way", SHOWINGS)
@pytest.mark.parametrize(("secret", "shown"), SECRETS)
def test_no_way_of_showing_shows_it(secret: Hidden, shown: str, way: str) -> None:
    """However a secret is turned to text, stars are what comes out."""
    text = SHOWINGS[way](secret)

    assert shown not in text
    assert "***" in text


@pytest.mark.parametrize(("secret", "shown"), SECRETS)
def test_a_traceback_with_all_its_locals_shows_stars(secret: Hidden, shown: str) -> None:
    """Even a debugger's traceback that prints every local variable shows no secret."""

    def fail(held: Hidden) -> None:
        raise ValueError(held)

    with pytest.raises(ValueError, match=r"\*\*\*") as caught:
        fail(secret)

    locals_of = [
        frame
        for frame in traceback.TracebackException.from_exception(
            caught.value, capture_locals=True
        ).stack
        if frame.name == "fail"
    ]
    text = "".join(traceback.format_exception(caught.value)) + str(locals_of[0].locals)
    assert shown not in text
    assert "***" in text


@pytest.mark.parametrize(("secret", "shown"), SECRETS)
def test_a_log_line_shows_stars(
    secret: Hidden, shown: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The standard library's logging, which any dependency may use, shows no secret."""
    logging.getLogger("anybody").warning("seen %s and %r", secret, secret)

    assert shown not in caplog.text
    assert "***" in caplog.text


LEAVINGS: dict[str, Callable[[Hidden], object]] = {
    "pickle": pickle.dumps,
    "oldest pickle": lambda secret: pickle.dumps(secret, protocol=0),
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "asdict": lambda secret: asdict(Holder(secret)),
    "json": json.dumps,
    "vars": vars,
}


@pytest.mark.parametrize("way", LEAVINGS)
@pytest.mark.parametrize(("secret", "shown"), SECRETS)
def test_no_way_out_of_the_process(secret: Hidden, shown: str, way: str) -> None:
    """Pickling, copying and serialising fail, and the error shows nothing either."""
    with pytest.raises(TypeError) as caught:
        LEAVINGS[way](secret)

    assert shown not in str(caught.value)


@pytest.mark.parametrize(
    "kind", [Pin, lambda text: Identifier(IdentifierKind.CARD, text)], ids=["pin", "card"]
)
@given(one=st.text("0123456789"), other=st.text("0123456789"))
def test_equal_by_value(kind: Callable[[str], Masked[str]], one: str, other: str) -> None:
    """Two secrets are equal, and hash alike, if and only if they are the same text."""
    assert (kind(one) == kind(other)) == (one == other)
    assert (len({kind(one), kind(other)}) == 1) == (one == other)


@given(st.text(max_size=5), st.text(max_size=5))
def test_any_text_can_be_compared(one: str, other: str) -> None:
    """Letters outside ASCII compare like any others."""
    assert (Pin(one) == Pin(other)) == (one == other)


def test_another_kind_is_another_secret() -> None:
    """The same value is not the same secret where it means something else."""
    number = "0101701234"

    assert Pin(number) != number
    assert Pin("card:1") != Identifier(IdentifierKind.CARD, "1")
    assert Identifier(IdentifierKind.CARD, number) != Identifier(IdentifierKind.CPR, number)
    assert StretchedKey(KEY_BYTES) != InstallationKey(KEY_BYTES)
    assert StretchedKey(KEY_BYTES) == StretchedKey(bytes(KEY_BYTES))


def test_reveal_is_the_way_in() -> None:
    """What went in comes out of `reveal`, an identifier with the kind that is sealed with it."""
    assert Pin("0042").reveal() == "0042"
    assert StretchedKey(KEY_BYTES).reveal() == KEY_BYTES
    assert CARD.reveal() == "card:3000001234"
    assert CPR.reveal() == "cpr:0101701234"
    assert (CPR.kind, CARD.kind) == (IdentifierKind.CPR, IdentifierKind.CARD)


def test_an_identifier_says_what_kind_it_is() -> None:
    """Staff may see whether it was a card or a CPR number, and no more."""
    assert repr(CPR) == str(CPR) == "Identifier(cpr ***)"
    assert repr(Pin("4711")) == "Pin(***)"


def test_readings_show_no_digit() -> None:
    """What the reader and the keypad said can be printed without saying what it was."""
    assert "3000001234" not in repr(CardRead((CARD,)))
    assert repr(KeyPressed("4")) == "KeyPressed()"
