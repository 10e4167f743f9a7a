"""What can be fuzzed, by the name on the command line, and the inputs that are kept of each."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz import bodies, push, reader, texts
from tests.fuzz.mutating import Stock

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
            _target("push", push.check, push.SEEDS, push.WORDS, push.LONGEST),
            _target(
                "config", files.check_config, texts.CONFIG_SEEDS, texts.CONFIG_WORDS, texts.LONGEST
            ),
            _target("feed", files.check_feed, texts.FEED_SEEDS, texts.FEED_WORDS, texts.LONGEST),
            _target("form", bodies.check, bodies.SEEDS, bodies.WORDS, bodies.LONGEST),
        )
        yield {target.name: target for target in made}


NAMES = ("reader", "keypad", "push", "config", "feed", "form")


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
