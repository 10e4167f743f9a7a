"""The OSDP reader's key: given in its set-up mode, turned over, the power cut wherever it is."""

from __future__ import annotations

import os
import stat
import time
import tty
from collections.abc import Iterator
from contextlib import closing, suppress
from functools import partial
from itertools import count
from pathlib import Path

import pytest

from doorctl.core.errors import DeviceError, KeyFileError
from doorctl.extras.osdp.keying import GIVEN, THERE, give_key, keying_line
from doorctl.extras.osdp.keys import SCBK_D, ReaderKey, ReaderKeys, read_keys, write_keys
from tests.fakes.keyed_reader import ADDRESS, MISHAPS, KeyedReader
from tests.fakes.killing import killed_at
from tests.fakes.osdp_peer import NoisyLine
from tests.slices import every

BAUD = 9600
WRITES = frozenset({"write", "replace", "fsync", "unlink"})
PRESENT = ReaderKey(b"the present key.")


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[KeyedReader]:
    """A reader in its set-up mode, switched on."""
    with closing(KeyedReader(tmp_path)) as reader:
        reader.power_on()
        yield reader


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where the door's key is to be."""
    return tmp_path / "osdp.key"


def give(file: Path, reader: KeyedReader, *, installing: bool = False) -> str:
    """Do what the command does."""
    return given(file, reader.port, ADDRESS, installing=installing)


def given(file: Path, port: str, address: int, *, installing: bool) -> str:
    """Give a key at a port and an address."""
    return give_key(
        file,
        port,
        BAUD,
        address,
        monotonic_s=time.monotonic,
        note=lambda _how: None,
        installing=installing,
    )


def keyed(file: Path, reader: KeyedReader, mishap: str = "") -> None:
    """Have reader and door know each other by the present key."""
    write_keys(file, ReaderKeys(PRESENT))
    reader.file.write_bytes(PRESENT.reveal())
    reader.power_on(mishap)


def answers(file: Path, reader: KeyedReader) -> bool:
    """Tell whether the reader answers a door that has this file, by a channel of its own."""
    with keying_line(reader.port, BAUD, ADDRESS, time.monotonic) as line:
        return any(line.answers(key) for key in read_keys(file).known)


def test_a_new_reader_is_given_its_key(file: Path, reader: KeyedReader) -> None:
    """Random, root's alone, the reader's too; once more changes nothing."""
    assert give(file, reader, installing=True) == GIVEN

    assert reader.key == file.read_bytes()
    assert len(set(reader.key)) > 1
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert answers(file, reader)
    before = file.read_bytes()
    assert give(file, reader, installing=True) == THERE
    assert file.read_bytes() == before == reader.key


def test_a_key_is_turned_over(file: Path, reader: KeyedReader) -> None:
    """Each time another one, which the reader keeps through a power cut; the old one is nothing."""
    keyed(file, reader)
    for _ in range(2):
        before = file.read_bytes()
        assert give(file, reader) == GIVEN
        assert reader.key == file.read_bytes() != before
        reader.power_on()
        assert answers(file, reader)
        with keying_line(reader.port, BAUD, ADDRESS, time.monotonic) as line:
            assert not line.answers(ReaderKey(before))


def test_the_default_key_is_for_the_set_up_mode_alone(file: Path, reader: KeyedReader) -> None:
    """A reader in it is given nothing by a turn-over, and one that has a key takes none by it."""
    write_keys(file, ReaderKeys(PRESENT))
    with pytest.raises(DeviceError, match=r"does not answer with the key of .* set-up mode"):
        give(file, reader)
    assert reader.key == b""
    assert read_keys(file) == ReaderKeys(PRESENT)

    reader.file.write_bytes(b"of another door.")
    reader.power_on()
    with pytest.raises(DeviceError, match="is not in its set-up mode"):
        give(file, reader, installing=True)
    assert reader.key == b"of another door."
    assert read_keys(file).present == PRESENT


def test_another_reader_in_its_place_is_given_another_key(file: Path, reader: KeyedReader) -> None:
    """Whoever has the old reader has its key, which is worth nothing at this door any more."""
    write_keys(file, ReaderKeys(PRESENT))

    assert give(file, reader, installing=True) == GIVEN
    assert PRESENT.reveal() != reader.key == file.read_bytes()


def test_a_line_that_the_door_has_is_left_alone(file: Path, reader: KeyedReader) -> None:
    """One clear line says what to stop; nothing was changed."""
    keyed(file, reader)
    with (
        keying_line(reader.port, BAUD, ADDRESS, time.monotonic),
        pytest.raises(DeviceError, match="in use; stop the door first: systemctl stop"),
    ):
        give(file, reader)
    assert read_keys(file) == ReaderKeys(PRESENT)


def wrong(packet: bytes) -> bytes:
    """Return a packet with one wrong bit in its last byte."""
    return packet[:-1] + bytes((packet[-1] ^ 1,))


@pytest.mark.parametrize("installing", [False, True])
def test_what_noise_says_before_each_answer_spoils_nothing(
    file: Path, reader: KeyedReader, *, installing: bool
) -> None:
    """A packet with a wrong bit is thrown away, as it is at the door, and the answer counts.

    Bug (a second reader): libosdp had all that came by the cable while a key was given, and one
    wrong bit ended its channel for 300 s.
    """
    if not installing:
        keyed(file, reader)
    near, far, port = *os.openpty(), os.open(reader.port, os.O_RDWR | os.O_NOCTTY)
    tty.setraw(far)
    line = NoisyLine(near, port, lambda data, up: [wrong(data)] * up + [data])
    try:
        assert given(file, os.ttyname(far), ADDRESS, installing=installing) == GIVEN
    finally:
        line.stop()
        for end in (near, far, port):
            os.close(end)
    assert reader.key == file.read_bytes() != PRESENT.reveal()


def test_where_no_reader_is_one_line_says_so(file: Path, reader: KeyedReader) -> None:
    """A wrong address, a cut wire, a port that is none; the key is not changed."""
    keyed(file, reader)
    with pytest.raises(DeviceError, match="no reader answers at address 6 with 9600"):
        given(file, reader.port, ADDRESS + 1, installing=True)
    with pytest.raises(DeviceError, match="/dev/null can't be used"):
        given(file, "/dev/null", ADDRESS, installing=False)
    assert read_keys(file) == ReaderKeys(PRESENT)


@pytest.mark.parametrize(
    "content", [b"", b"short", SCBK_D, bytes(17), PRESENT.reveal() + SCBK_D, bytes(48)]
)
def test_what_is_no_key_is_refused(content: bytes, file: Path) -> None:
    """The published default among them, alone or as the one to come; no byte of it is told."""
    file.write_bytes(content)
    file.chmod(0o600)
    with pytest.raises(KeyFileError, match="doorctl keys reader --install"):
        read_keys(file)


def test_a_key_that_others_can_read_is_refused(file: Path) -> None:
    """As the installation key's file is."""
    write_keys(file, ReaderKeys(PRESENT))
    file.chmod(0o640)
    with pytest.raises(KeyFileError, match="chmod 600"):
        read_keys(file)


@pytest.mark.parametrize("mishap", MISHAPS[1:])
@pytest.mark.parametrize("installing", [False, True])
def test_a_mishap_of_the_reader_leaves_a_key_with_which_it_answers(
    mishap: str, file: Path, reader: KeyedReader, *, installing: bool
) -> None:
    """Switched on again, the door hears it by one of the keys in the file; once more ends it."""
    if installing:
        reader.power_on(mishap)
    else:
        keyed(file, reader, mishap)
    with suppress(DeviceError):
        assert give(file, reader, installing=installing) == GIVEN

    reader.power_on()
    assert reader.key == b"" or answers(file, reader)
    give(file, reader, installing=installing)
    assert answers(file, reader)
    assert reader.key == file.read_bytes()


@pytest.mark.sliced
@pytest.mark.parametrize("installing", [False, True])
def test_killed_at_every_write(file: Path, reader: KeyedReader, *, installing: bool) -> None:
    """Of a packet or of the file: the door has a key with which the reader answers, if it has one.

    The same command ends what it began, with the key that it had begun to give.
    """
    for point in every(5, count(1)):
        file.unlink(missing_ok=True)
        reader.file.unlink(missing_ok=True)
        if not installing:
            keyed(file, reader)
        reader.power_on()
        came_through = not killed_at(
            point, WRITES, partial(give, file, reader, installing=installing)
        )
        assert reader.key == b"" or answers(file, reader)
        begun = read_keys(file).coming if file.exists() else None
        if not came_through:
            assert give(file, reader, installing=installing) in {GIVEN, THERE}
        assert reader.key == file.read_bytes()
        assert begun in (None, ReaderKey(reader.key))
        if came_through:
            break
    assert point > len(WRITES)
