"""The plain loop: as many inputs as can be, from a seed, without looking where they lead."""

from __future__ import annotations

import time
import traceback
from dataclasses import dataclass
from random import Random

from tests.fuzz import reader
from tests.fuzz.mutating import drawn
from tests.fuzz.targets import Target

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
