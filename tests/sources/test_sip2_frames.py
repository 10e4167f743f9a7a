"""The SIP2 parser under any bytes: a yes stands in an intact answer about the card, or nowhere."""

from __future__ import annotations

import socket
import threading
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorctl.access.messages import LibraryAnswer
from doorctl.core.errors import LibrarySystemError
from doorctl.core.masked import Pin
from doorctl.sources.library import (
    framed,
    meaning,
    read_information,
    read_login,
    unframed,
)
from tests.sources.sip2_server import Sip2Patron, checked, information
from tests.sources.stages import card, sip2_library

CARD, SEQUENCE = "3000001234", 1
SAID = st.sampled_from(["Y", "N", "", " ", "y", "YY"])
FIELDS = st.lists(
    st.tuples(
        st.sampled_from([b"BL", b"CQ", b"AA", b"AO", b"AF", b"AE", b"PC"]),
        st.sampled_from([b"Y", b"N", b"", CARD.encode(), b"3000005678", b"S\xf8ren"]),
    ),
    max_size=8,
)


def says_yes(frame: bytes) -> bool:
    """Return whether the code under test reads a yes about the card."""
    message = unframed(frame, SEQUENCE)
    said = None if message is None else read_information(message)
    return (
        said is not None
        and said.first(b"AA") == CARD.encode()
        and meaning(said) is LibraryAnswer.YES
    )


def may_say_yes(frame: bytes) -> bool:
    """Return the same, found in a plainer way."""
    sums = {sum(frame[:-4]) % 0x10000}
    text = frame[:-4].decode(errors="replace")
    if text.encode() == frame[:-4]:
        sums.add(sum(map(ord, text)) % 0x10000)
    try:
        intact = (0x10000 - int(frame[-4:], 16)) % 0x10000 in sums
    except ValueError:
        return False
    fields = frame[61:-9].split(b"|")
    once = all(sum(each[:2] == name for each in fields) == 1 for name in (b"BL", b"CQ", b"AA"))
    there = b"CQY" in fields and b"AA" + CARD.encode() in fields
    valid = b"BLY" in fields or b"BLN" in fields
    return intact and frame[:2] == b"64" and frame[-9:-4] == b"AY1AZ" and once and there and valid


@given(SAID, SAID, FIELDS)
def test_a_yes_is_said_once_and_plainly(valid: str, proved: str, more: object) -> None:
    """Whatever else stands in an intact answer, it is a yes only by one BL, one CQ Y and one AA."""
    assert isinstance(more, list)
    tail = b"".join(name + value + b"|" for name, value in more)
    patron = Sip2Patron("4711", f"BL{valid}|", f"CQ{proved}|", more=tail)

    frame = checked(information(CARD, patron), b"1")[:-1]

    assert says_yes(frame) <= may_say_yes(frame)
    if not more:
        assert says_yes(frame) is (proved == "Y" and valid in {"Y", "N"})


@given(st.data())
def test_no_mutation_makes_a_yes(data: st.DataObject) -> None:
    """A no in which bytes were changed, put in, taken out or put behind is no yes."""
    patron = Sip2Patron("4711", data.draw(st.sampled_from(["BLY|", "BLN|", ""])), "CQN|")
    frame = bytearray(checked(information(CARD, patron), b"1")[:-1])
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(frame)))
        taken = data.draw(st.integers(0, 6))
        frame[place : place + taken] = data.draw(
            st.binary(max_size=6) | st.sampled_from([b"CQY|", b"|CQY", b"BLY|CQY|", b"Y"])
        )
    frame += data.draw(st.binary(max_size=4))

    assert says_yes(bytes(frame)) <= may_say_yes(bytes(frame))


@pytest.mark.parametrize("no", [("BLY|", "CQN|"), ("BLY|", ""), ("", "CQY|")])
def test_no_single_byte_makes_a_yes(no: tuple[str, str]) -> None:
    """A no that is changed in any one place to any other byte is no yes: the checksum sees it."""
    valid, proved = no
    frame = checked(information(CARD, Sip2Patron("4711", valid, proved)), b"1")[:-1]

    changed = (
        frame[:place] + bytes([byte]) + frame[place + 1 :]
        for place in range(len(frame))
        for byte in range(256)
    )
    assert not any(says_yes(one) for one in changed)


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_not(frame: bytes) -> None:
    """Whatever comes, nothing is raised, and it is a yes only where it plainly is."""
    assert says_yes(frame) <= may_say_yes(frame)
    assert says_yes(checked(frame, b"1")[:-1]) <= may_say_yes(checked(frame, b"1")[:-1])
    assert read_login(frame) is None or frame in {b"940", b"941"}


@given(st.binary(max_size=300), st.integers(0, 9))
def test_a_frame_is_unframed_as_it_was(message: bytes, sequence: int) -> None:
    """What is framed here is what the stand-in frames, and is read back under its number alone."""
    frame = framed(message, sequence)

    assert frame == checked(message, b"%d" % sequence)
    assert unframed(frame[:-1], sequence) == message
    assert unframed(frame[:-1], (sequence + 1) % 10) is None


class _Chunks(threading.Thread):
    """A server for one question that answers in given pieces."""

    def __init__(self, chunks: list[bytes]) -> None:
        super().__init__()
        self._chunks = chunks
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]

    def run(self) -> None:
        """Answer and hang up."""
        with self._listener, self._listener.accept()[0] as wire:
            received = b""
            while not received.endswith(b"\r"):
                received += wire.recv(4096)
            wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for chunk in self._chunks:
                try:
                    wire.sendall(chunk)
                except OSError:
                    return


@given(
    st.sampled_from(["CQY|", "CQN|", "CQ|", ""]),
    st.lists(st.integers(1, 200), max_size=6),
    st.binary(max_size=12),
    st.integers(0, 3),
)
def test_chunks_and_trailing_junk_change_nothing(
    proved: str, cuts: list[int], junk: bytes, cut_off: int
) -> None:
    """However the network cuts an answer, and whatever comes after it, it says the same."""
    whole = checked(information(CARD, Sip2Patron("4711", proved=proved)), b"1")
    sent = whole[: len(whole) - cut_off] + (junk if not cut_off else b"")
    edges = sorted({0, len(sent), *(cut for cut in cuts if cut < len(sent))})
    server = _Chunks([sent[one:other] for one, other in pairwise(edges)])
    server.start()
    library = sip2_library(server.port, user="")
    try:
        answer = library.ask(card(CARD), Pin("4711"), row_wanted=False).answer
    except LibrarySystemError:
        answer = LibraryAnswer.SILENT
    server.join(20)

    expected = LibraryAnswer.YES if proved == "CQY|" else LibraryAnswer.NO
    assert answer is (LibraryAnswer.SILENT if cut_off else expected)
