"""What can be fuzzed, by the name on the command line, and the inputs that are kept of each."""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

from tests.fuzz import bodies, card_bits, keyboard, mapped, osdp_line, push, reader, texts

# The plain loop: as many inputs as can be, made from kept ones by small damage, from a seed.

MOST_CHANGES = 3
LONGEST_REPEAT = 16

Change = Callable[[Random, bytes, "Stock"], bytes]


@dataclass(frozen=True, slots=True)
class Stock:
    """What inputs are made of.

    Args:
        kept: whole inputs; at least one.
        words: pieces that mean something to the target; at least one.
        longest: of an input, in bytes.
    """

    kept: Sequence[bytes]
    words: Sequence[bytes]
    longest: int


def drawn(random: Random, stock: Stock) -> bytes:
    """Return the next input: a kept one with up to three changes."""
    data = random.choice(stock.kept)
    for _ in range(int(random.random() * (MOST_CHANGES + 1))):
        data = random.choice(CHANGES)(random, data, stock)
    return data[: stock.longest]


def _flip(random: Random, data: bytes, _stock: Stock) -> bytes:
    at = _place(random, data)
    return (
        data[:at]
        + bytes([(data[at] if at < len(data) else 0) ^ 1 << int(random.random() * 8)])
        + data[at + 1 :]
    )


def _put(random: Random, data: bytes, _stock: Stock) -> bytes:
    at = _place(random, data)
    return data[:at] + bytes([int(random.random() * 256)]) + data[at + 1 :]


def _insert(random: Random, data: bytes, stock: Stock) -> bytes:
    at = _place(random, data)
    return data[:at] + random.choice(stock.words) + data[at:]


def _cut(random: Random, data: bytes, _stock: Stock) -> bytes:
    begin, end = sorted((_place(random, data), _place(random, data)))
    return data[:begin] + data[end:]


def _repeat(random: Random, data: bytes, _stock: Stock) -> bytes:
    at = _place(random, data)
    return data[:at] + data[at : at + 8] * int(random.random() * LONGEST_REPEAT) + data[at:]


def _splice(random: Random, data: bytes, stock: Stock) -> bytes:
    other = random.choice(stock.kept)
    return data[: _place(random, data)] + other[_place(random, other) :]


def _place(random: Random, data: bytes) -> int:
    return int(random.random() * (len(data) + 1))


CHANGES: Sequence[Change] = (_flip, _put, _insert, _cut, _repeat, _splice)


AT_ONCE = 8
"""Inputs of a stream that come at one moment."""

MOMENTS = 4
SHARE_FRAMED = 1 / 16
"""Of the streams, the first moment is read the slow way too."""

GAPS_S = (0.0, 0.02, 0.1, 1.0)


@dataclass(frozen=True, slots=True)
class Count:
    """What a loop has done.

    `inputs`: that were checked; `cpu_s`: processor time; `failure`: a traceback, or None; `broken`:
    the input that broke it.
    """

    inputs: int
    cpu_s: float
    failure: str | None = None
    broken: bytes = b""


def counted(target: Target, *, inputs: int, seed: int) -> Count:
    """Check so many inputs, or fewer where one breaks the target."""
    random = Random(seed)  # noqa: S311 - a seed is to be repeated
    began_s = time.process_time()
    done = 0
    tried = b""
    try:
        while done < inputs:
            if target.name == "reader":
                tried = b""
                done += _stream(target, random)
            else:
                tried = drawn(random, target.stock)
                target.check(tried)
                done += 1
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the finding
        if isinstance(error, _StreamError):
            tried = next((data for _, data in error.stream if _breaks(target, data)), b"")
        return Count(done, time.process_time() - began_s, traceback.format_exc(), tried)
    return Count(done, time.process_time() - began_s)


class _StreamError(AssertionError):
    def __init__(self, stream: reader.Stream) -> None:
        super().__init__(f"a stream broke it: {stream!r}")
        self.stream = stream


def _breaks(target: Target, data: bytes) -> bool:
    try:
        target.check(data)
    except Exception:  # noqa: BLE001 - whatever it is
        return True
    return False


def _stream(target: Target, random: Random) -> int:
    now_s = 0.0
    stream = []
    for _ in range(MOMENTS):
        now_s += random.choice(GAPS_S)
        stream.append((now_s, b"".join(drawn(random, target.stock) for _ in range(AT_ONCE))))
    try:
        reader.check_stream(stream, random, carries_keys=random.random() < 0.5)
        if random.random() < SHARE_FRAMED:
            reader.check_framing(stream[0][1])
    except Exception as error:
        raise _StreamError(stream) from error
    return MOMENTS * AT_ONCE


CORPUS = Path(__file__).with_name("corpus")
"""A folder for each target: inputs that once reached something new, or broke something."""


@dataclass(frozen=True, slots=True)
class Target:
    """One reader of foreign bytes.

    Args:
        name: on the command line, and of its folder in the corpus.
        check: raises whatever is wrong; nothing else may be raised by what it looks at.
        stock: what inputs are made of.
    """

    name: str
    check: Callable[[bytes], None]
    stock: Stock


@contextmanager
def targets() -> Iterator[Mapping[str, Target]]:
    """Yield all targets; files that they need are gone afterwards."""
    ram = Path("/dev/shm")  # noqa: S108 - directories in it have names of their own
    with tempfile.TemporaryDirectory(dir=ram if os.access(ram, os.W_OK) else None) as root:
        files = texts.Files(Path(root))
        made = (
            _target("reader", reader.check, reader.SEEDS, reader.WORDS, reader.LONGEST),
            _target("keypad", reader.check_keypad, reader.SEEDS, reader.WORDS, reader.LONGEST),
            _target("keyboard", keyboard.check, keyboard.SEEDS, keyboard.WORDS, keyboard.LONGEST),
            _target("push", push.check, push.SEEDS, push.WORDS, push.LONGEST),
            _target(
                "config", files.check_config, texts.CONFIG_SEEDS, texts.CONFIG_WORDS, texts.LONGEST
            ),
            _target("feed", files.check_feed, texts.FEED_SEEDS, texts.FEED_WORDS, texts.LONGEST),
            _target("form", bodies.check, bodies.SEEDS, bodies.WORDS, bodies.LONGEST),
            _target(
                "card_bits", card_bits.check, card_bits.SEEDS, card_bits.WORDS, card_bits.LONGEST
            ),
            _target(
                "osdp_line", osdp_line.check, osdp_line.SEEDS, osdp_line.WORDS, osdp_line.LONGEST
            ),
            _target("mapped", mapped.check, mapped.SEEDS, mapped.WORDS, mapped.LONGEST),
        )
        yield {target.name: target for target in made}


NAMES = (
    "reader",
    "keypad",
    "keyboard",
    "push",
    "config",
    "feed",
    "form",
    "card_bits",
    "osdp_line",
    "mapped",
)


def _target(
    name: str,
    check: Callable[[bytes], None],
    seeds: tuple[bytes, ...],
    words: tuple[bytes, ...],
    longest: int,
) -> Target:
    stock = Stock((*seeds, *kept(name)), words, longest)
    return Target(name, check, stock)


def kept(name: str) -> list[bytes]:
    """Return the inputs that are kept of a target."""
    return [path.read_bytes() for path in sorted((CORPUS / name).glob("*")) if path.is_file()]


def keep(name: str, data: bytes) -> Path:
    """Keep an input, so that it is tried by every run from now on; return where."""
    path = CORPUS / name / hashlib.sha256(data).hexdigest()[:16]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path
