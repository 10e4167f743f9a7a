"""Takes the blocks of systemd/README.md as they stand there, and says where each is to be done."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = ROOT / "systemd" / "README.md"

BLOCK = re.compile(
    r"(?:^<!-- (?P<place>branch|server|elsewhere): (?P<what>.+?) -->\n)?"
    r"^```\w*\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
KINDS = ("install", "running", "edit", "file")
HEADER, KEY = re.compile(r"^\[.*\]$"), re.compile(r"^(?:# )?([a-z_0-9]+) = ")


@dataclass(frozen=True, slots=True)
class Block:
    """One block of the page.

    Args:
        place: ``branch`` or ``server``; ``elsewhere`` if the harness leaves it to somebody else.
        what: ``install``: commands before the machine's next boot; ``running``: commands after
            it; ``edit``: keys to be set in the file; ``file``: all of it. Elsewhere: the reason.
        path: of that file, else empty.
        text: the block's own.
    """

    place: str
    what: str
    path: str
    text: str

    def commands(self) -> list[str]:
        """Return its commands, one a line."""
        return self.text.splitlines()


def blocks(page: str) -> list[Block]:
    """Return every block of a page, in order.

    Raises:
        ValueError: a block has no mark, or one that nobody understands.
    """
    found = [_block(match) for match in BLOCK.finditer(page)]
    if 2 * len(found) != len(re.findall(r"^\s*```", page, re.MULTILINE)):
        raise ValueError("a block has no end, or is not at the margin")
    return found


def _block(match: re.Match[str]) -> Block:
    place, mark, text = match["place"], match["what"], match["text"]
    if place is None:
        raise ValueError(f"no mark says where this is done:\n{text}")
    if place == "elsewhere":
        return Block(place, mark, "", text)
    what, _, path = mark.partition(" ")
    if what not in KINDS or path.startswith("/") != (what in {"edit", "file"}):
        raise ValueError(f"what is {mark!r}?")
    return Block(place, what, path, text)


def edited(file: str, keys: str) -> str:
    """Return a file of TOML with keys set, as somebody with an editor sets them.

    `file`: a whole configuration, in which each key has a line of its own, behind a ``#`` or not;
    `keys`: tables and keys in the same form.

    Raises:
        ValueError: it has no such table or key.
    """
    lines, at = file.splitlines(), 0
    for line in keys.splitlines():
        key = KEY.match(line)
        at = _table(lines, line) if key is None else at
        if key is not None:
            lines[_key(lines, at, key[1])] = line
    return "\n".join(lines) + "\n"


def _table(lines: list[str], header: str) -> int:
    return lines.index(header) + 1


def _key(lines: list[str], at: int, name: str) -> int:
    for number in range(at, len(lines)):
        if HEADER.match(lines[number]):
            break
        found = KEY.match(lines[number])
        if found is not None and found[1] == name:
            return number
    raise ValueError(f"{lines[at - 1]} has no {name}")
