"""Canaries: made-up secrets that are sent through a house, and the search for what is left."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Container, Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final
from urllib.parse import quote, quote_plus

CPR: Final = "2305648127"
BARCODE_CPR: Final = "1707524386"
CARD: Final = "3000864209"
# PINs of eight digits: four stand in any row of timestamps by chance.
CPR_PIN, BARCODE_PIN, CARD_PIN = "90817263", "48261937", "57309182"
WRONG_PIN, PASS_PIN, REFUSED_PIN = "13579246", "66419028", "771350942288"
PASSWORD: Final = "kanarie-batteri-klamme"
WRONG_PASSWORD: Final = "kanarie-lampe-torsdag"
FAMILY, STREET = "Kviksølv", "Hemmeligvejen"

CANARIES: Mapping[str, str] = MappingProxyType(
    {
        "CPR number": CPR,
        "CPR number of the barcode": BARCODE_CPR,
        "card": CARD,
        "PIN": CPR_PIN,
        "PIN of the barcode": BARCODE_PIN,
        "PIN of the card": CARD_PIN,
        "wrong PIN": WRONG_PIN,
        "PIN of a pass": PASS_PIN,
        "PIN of a row that is refused": REFUSED_PIN,
        "password": PASSWORD,
        "wrong password": WRONG_PASSWORD,
        "name": FAMILY,
        "name on the stripe": "KVIKSOELV",
        "street": STREET,
    }
)

DIGESTS: Final = ("md5", "sha1", "sha256", "sha512", "blake2b")
CPR_DIGITS: Final = 10


def stripe(cpr: str) -> bytes:
    """Return what a reader sends for a health card with the canaries on track 1, and CR."""
    name, address = "KVIKSOELV^ROSAMUNDE", f"{STREET.upper()} 77"
    track_1 = f"%{name:<34}{address:<34}4615000?"
    return f"{track_1};92081004{cpr}1041173083461010814?\r".encode("ascii")


def forms(text: str) -> dict[str, bytes]:
    """Return every shape in which a text may be left somewhere, by a name that may be shown."""
    made: dict[str, bytes] = {}
    for case, word in _spellings(text):
        plain = word.encode()
        made |= {
            case: plain,
            f"{case}, Latin-1": word.encode("latin-1"),
            f"{case}, UTF-16LE": word.encode("utf-16-le"),
            f"{case}, UTF-16BE": word.encode("utf-16-be"),
            f"{case}, JSON": json.dumps(word)[1:-1].encode(),
            f"{case}, HTML": html.escape(word).encode(),
            f"{case}, repr of bytes": repr(plain)[2:-1].encode(),
            f"{case}, URL": quote(word, safe="").encode(),
            f"{case}, form": quote_plus(word).encode(),
            f"{case}, every byte as in a URL": "".join(f"%{one:02X}" for one in plain).encode(),
            f"{case}, hex": plain.hex().encode(),
            f"{case}, capital hex": plain.hex().upper().encode(),
        }
        made |= {f"{case}, base64 {at}": found for at, found in enumerate(_base64(plain))}
        made |= {f"{case}, {name}": found for name, found in _digests(plain)}
    return made


def left(
    content: Mapping[str, bytes],
    canaries: Mapping[str, str] = CANARIES,
    *,
    but: Container[str] = (),
) -> list[tuple[str, str, str]]:
    """Return each canary that stands somewhere: its name, its form, and where. Never itself.

    `content`: bytes by where they stand; `canaries`: texts by what they are; `but`: forms that may
    be there.
    """
    needles = {
        needle: (name, form)
        for name, text in canaries.items()
        for form, needle in forms(text).items()
        if form not in but
    }
    return [
        (*told, where)
        for where, written in content.items()
        for needle, told in needles.items()
        if needle in written
    ]


def files_under(root: Path, *spared: Path) -> dict[str, bytes]:
    """Return every file below a directory, and every name there as its own content.

    `root`: where to begin; `spared`: files and directories that are what went in, or what was
    handed out.
    """
    found: dict[str, bytes] = {}
    for path in root.rglob("*"):
        if any(path.is_relative_to(one) for one in spared):
            continue
        where = str(path.relative_to(root))
        leads_to = str(path.readlink()) if path.is_symlink() else where
        found[f"the name of {where}"] = leads_to.encode()
        if path.is_file() and not path.is_symlink():
            found[where] = path.read_bytes()
    return found


def process_files(pids: Mapping[str, int]) -> dict[str, bytes]:
    """Return what others may read of processes that run, by their names."""
    return {
        f"{file} of {name} {pid}": Path(f"/proc/{pid}/{file}").read_bytes()
        for name, pid in pids.items()
        for file in ("cmdline", "environ", "comm")
    }


def _spellings(text: str) -> Iterator[tuple[str, str]]:
    yield "plain", text
    if not text.isdigit():
        yield "lower case", text.lower()
        yield "upper case", text.upper()
        return
    if len(text) == CPR_DIGITS:
        yield "hyphened", f"{text[:6]}-{text[6:]}"
        yield "spaced", f"{text[:6]} {text[6:]}"
        yield "as it is sealed", f"cpr:{text}"
    yield "spaced out", " ".join(text)
    yield "in fours", " ".join(text[at : at + 4] for at in range(0, len(text), 4))


def _digests(plain: bytes) -> Iterator[tuple[str, bytes]]:
    for name in DIGESTS:
        digest = hashlib.new(name, plain)
        yield name, digest.digest()
        yield f"{name} in hex", digest.hexdigest().encode()


def _base64(plain: bytes) -> Iterable[bytes]:
    """Return what stands in base64 wherever the text begins in what was encoded."""
    for before in range(3):
        coded = base64.b64encode(b"\0" * before + plain)
        first = (before * 8 + 5) // 6
        whole = (before + len(plain)) * 8 // 6
        yield coded[first:whole]
