"""Inputs made from kept ones by small damage; the same for the same seed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

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
