"""A SIP2 server that somebody else wrote: pysip2, with its parser, checksums and DOS charset."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from doorctl.access.messages import LibraryAnswer, LibraryReply
from doorctl.core.errors import LibrarySystemError
from doorctl.core.masked import Pin
from tests.fakes.waiting import LIMIT_S
from tests.sources.real_sip2_server import (
    BARRED,
    BLOCKED,
    DEBTOR,
    EXPIRED,
    GOOD,
    PIN,
    UNSAID,
)
from tests.sources.stages import card, sip2_library

SERVER = Path(__file__).with_name("real_sip2_server.py")
YES, NO = LibraryAnswer.YES, LibraryAnswer.NO


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """The real server's port; the gates don't let it pass that the server is not installed."""
    if find_spec("pysip2") is None and os.environ.get("CI") != "true":
        pytest.skip("pysip2 is not installed: pip install pysip2==0.1.0")
    with subprocess.Popen(
        [sys.executable, str(SERVER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        told = server.stdout.readline()
        assert told, "the server did not start"
        yield int(told)
        server.stdin.close()
        assert server.wait(LIMIT_S) == 0


def ask(port: int, number: str = GOOD, pin: str = PIN, **changed: Any) -> LibraryReply:
    """Ask the real server."""
    return sip2_library(port, **changed).ask(card(number), Pin(pin), row_wanted=True)


@pytest.mark.parametrize(
    ("number", "pin", "expected"),
    [(GOOD, PIN, YES), (GOOD, "4712", NO), ("3000009999", PIN, NO), (UNSAID, PIN, NO)],
)
def test_a_real_server_understands_and_is_understood(
    port: int, number: str, pin: str, expected: LibraryAnswer
) -> None:
    """Right, wrong, unknown and left open are told apart, with Danish names in the way."""
    assert ask(port, number, pin).answer is expected


@pytest.mark.parametrize(
    ("number", "active", "blocks"),
    [
        (GOOD, True, frozenset[str]()),
        (EXPIRED, False, frozenset[str]()),
        (BLOCKED, True, frozenset({"O", "E"})),
        (BARRED, True, frozenset({"S"})),
        (DEBTOR, True, frozenset({"E"})),
    ],
)
def test_a_real_servers_row(port: int, number: str, active: bool, blocks: frozenset[str]) -> None:
    """Flags and validity of a real answer are what the door knows of the patron."""
    patron = ask(port, number).patron

    assert patron is not None
    assert (patron.active, patron.resident, patron.blocks) == (active, False, blocks)


def test_a_real_server_that_refuses_the_account(port: int) -> None:
    """A wrong password is told as such, and no PIN was sent."""
    with pytest.raises(LibrarySystemError, match=r"see lms\.user") as caught:
        ask(port, password="another-password")

    assert not caught.value.spent


def test_a_real_server_that_wants_a_login(port: int) -> None:
    """Without one the server hangs up: an error, after which the card rests."""
    with pytest.raises(LibrarySystemError) as caught:
        ask(port, user="")

    assert caught.value.spent
