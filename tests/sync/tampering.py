"""Ways to tamper with a push."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any

import msgspec

from doorctl.sync.document import read_manifest, sign, written
from doorctl.sync.rows import Removal, encode
from tests.sync.pushes import KEY, OTHER_KEY, SEAL, Document, row

HELD = Document([row(n) for n in range(8)], epoch=5)
VALID = (
    Document([row(n, blocks="E" * (n % 2)) for n in range(2, 10)], epoch=6, previous_epoch=5),
    Document([row(1), Removal("2"), row(9)], "changes", epoch=6, previous_epoch=5),
    Document([row(1), Removal("2")], "changes", epoch=6, previous_epoch=5, approved_by="M. Bech"),
)
NONSENSE = (
    b"\n", b"{}\n", b"[]\n", b"null\n", b'{"remove":NaN}\n', b'{"remove":"\xff"}\n',
    b'{"remove":"1","remove":"2"}\n', b'{"remove":"1"}{"remove":"2"}\n', b'{"remove":["1"]}\n',
    b'{"remove":' + b"[" * 2000 + b"\n", b'{"remove":"1","name":"x"}\n', b'{"remove":""}\n',
)  # fmt: skip
EDITS: Sequence[dict[str, Any]] = (
    {"epoch": 7}, {"epoch": 2**63 - 1}, {"previous_epoch": 4}, {"previous_epoch": 0},
    {"kind": "snapshot", "minimum_age": 1}, {"kind": "changes", "minimum_age": 1}, {"count": 2},
    {"minimum_age": 0}, {"approved_by": "somebody"}, {"signature": ""}, {"branch": "syd"},
    {"seal": msgspec.structs.replace(SEAL, iterations=2)}, {"signature": "A" * 86 + "=="},
)  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """What travels, and what was signed: nothing else may be applied."""

    how: str
    data: bytes
    signed: bytes


Way = Callable[[Random, Document], bytes]


def flip_bits(random: Random, document: Document) -> bytes:
    """Flip one to three bits anywhere."""
    data = bytearray(document.data())
    for _ in range(random.randint(1, 3)):
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)
    return bytes(data)


def change_a_character(random: Random, document: Document) -> bytes:
    """Put another character of the format's own alphabet somewhere."""
    data = bytearray(document.data())
    data[random.randrange(len(data))] = random.choice(b'{}[]":,0123456789aeflnrstuE+/= \n\\-')
    return bytes(data)


def cut_out(random: Random, document: Document) -> bytes:
    """Leave some bytes out, often one."""
    data = document.data()
    place = random.randrange(len(data))
    return data[:place] + data[place + random.choice([1, 1, 1, 2, 50, 300]) :]


def put_in(random: Random, document: Document) -> bytes:
    """Insert some bytes of the push itself, or blanks."""
    data = document.data()
    place, start = random.randrange(len(data) + 1), random.randrange(len(data))
    more = random.choice([b" ", b"\n", b"\r", b"\0", data[start : start + random.randint(1, 300)]])
    return data[:place] + more + data[place:]


def truncate(random: Random, document: Document) -> bytes:
    """Break off."""
    data = document.data()
    return data[: random.randrange(len(data))]


def drop_a_line(random: Random, document: Document) -> bytes:
    """Lose a line, the manifest too."""
    lines = document.data().splitlines(keepends=True)
    lines.pop(random.randrange(len(lines)))
    return b"".join(lines)


def repeat_a_line(random: Random, document: Document) -> bytes:
    """Send a line twice."""
    lines = document.data().splitlines(keepends=True)
    lines.insert(random.randrange(len(lines) + 1), random.choice(lines))
    return b"".join(lines)


def swap_lines(random: Random, document: Document) -> bytes:
    """Send two lines in each other's place."""
    lines = document.data().splitlines(keepends=True)
    one, other = random.sample(range(len(lines)), 2)
    lines[one], lines[other] = lines[other], lines[one]
    return b"".join(lines)


def replace_a_row(random: Random, document: Document) -> bytes:
    """Let somebody else in, or the same patron whatever the library says."""
    lines = document.data().splitlines(keepends=True)
    lines[random.randrange(1, len(lines))] = encode(row(random.randrange(100)))
    return b"".join(lines)


def edit_the_manifest(random: Random, document: Document) -> bytes:
    """Change a field that was signed."""
    first, _, rest = document.data().partition(b"\n")
    manifest = msgspec.structs.replace(read_manifest(first), **random.choice(EDITS))
    return written(manifest) + rest


def forge_the_digest(random: Random, document: Document) -> bytes:
    """Change the rows, and count and digest to fit."""
    first, _, _ = document.data().partition(b"\n")
    rows = b"".join(encode(row(number)) for number in random.sample(range(100), 3))
    manifest = msgspec.structs.replace(
        read_manifest(first), count=3, sha256=hashlib.sha256(rows).hexdigest()
    )
    return written(manifest) + rows


def sign_with_another_key(random: Random, document: Document) -> bytes:
    """Do all of it right but for the key."""
    lines = [row(number) for number in random.sample(range(100), 3)]
    return replace(document, lines=lines, key=OTHER_KEY).data()


def send_to_another_branch(random: Random, document: Document) -> bytes:
    """Take what was signed for a neighbour."""
    return replace(document, branch=random.choice(["syd", "langaa", "oes", "oest2"])).data()


def send_out_of_order(random: Random, document: Document) -> bytes:
    """Replay what was signed before, or send what follows on something else."""
    epoch = random.choice([1, 4, 5])
    late = replace(document, kind="changes", epoch=9, previous_epoch=random.choice([0, 4, 6, 8]))
    return random.choice([replace(document, epoch=epoch, previous_epoch=0), late, HELD]).data()


def seal_otherwise(random: Random, document: Document) -> bytes:
    """Sign rows of another installation key."""
    seal = msgspec.structs.replace(SEAL, iterations=random.randint(2, 9))
    return replace(document, seal=seal).data()


def sign_nonsense(random: Random, document: Document) -> bytes:
    """Sign a line that is none, in the right way: the sender's own mistake."""
    first, *lines = document.data().splitlines(keepends=True)
    lines.insert(random.randrange(len(lines) + 1), random.choice(NONSENSE))
    rows = b"".join(lines)
    manifest = msgspec.structs.replace(
        read_manifest(first), count=len(lines), sha256=hashlib.sha256(rows).hexdigest()
    )
    return written(sign(manifest, KEY)) + rows


def send_a_bomb(random: Random, document: Document) -> bytes:
    """Unfold to 3 MB after a manifest that is right."""
    first, _, _ = document.data().partition(b"\n")
    filler = random.choice([b"\n", b" ", b"{", encode(row(1))])
    return gzip.compress(first + b"\n" + filler * (3_000_000 // len(filler)), 1)


WAYS: Sequence[Way] = (
    flip_bits, change_a_character, cut_out, put_in, truncate, drop_a_line, repeat_a_line,
    swap_lines, replace_a_row, edit_the_manifest, forge_the_digest, sign_with_another_key,
    send_to_another_branch, send_out_of_order, seal_otherwise, sign_nonsense,
)  # fmt: skip


def _flipped(random: Random, data: bytes) -> bytes:
    place = random.randrange(len(data))
    return data[:place] + bytes([data[place] ^ 1 << random.randrange(8)]) + data[place + 1 :]


ON_GZIP: Sequence[Callable[[Random, bytes], bytes]] = (
    _flipped,
    lambda random, data: data[: random.randrange(len(data))],
    lambda random, data: data + data[: random.randint(1, 40)],
    lambda random, data: data[:-8] + random.randbytes(8),
)


def mutants(seed: int) -> Iterator[Mutant]:
    """Yield tampered pushes without end, plain and gzip; the same seed yields the same ones."""
    random = Random(seed)  # noqa: S311 - repeatable, not secret
    while True:
        document = random.choice(VALID)
        signed = document.data()
        if random.random() < 0.001:
            yield Mutant("send_a_bomb", send_a_bomb(random, document), signed)
        elif random.random() < 0.2:
            data = random.choice(ON_GZIP)(random, gzip.compress(signed, mtime=0))
            yield Mutant("gzip", data, signed)
        else:
            way = random.choice(WAYS)
            data = way(random, document)
            yield Mutant(way.__name__, random.choice([data, gzip.compress(data)]), signed)
