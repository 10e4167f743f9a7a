"""Takes the blocks of the pages for operators as they stand there, and says what runs each."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = ROOT / "systemd" / "README.md"
PAGES = (
    README,
    ROOT / "doorctl" / "admin" / "README.md",
    ROOT / "doorctl" / "ops" / "README.md",
)
"""Pages on which every block says what runs it."""

MARKED = (ROOT / "packaging" / "README.md", ROOT / "doorctl" / "sync" / "README.md")
"""Pages on which some blocks do: the rest is JSON, or for those who publish packages."""

BLOCK = re.compile(
    r"(?:^<!-- run by: (?P<by>.+?) -->\n)?^```\w*\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
HEADER, KEY = re.compile(r"^\[.*\]$"), re.compile(r"^(?:# )?([a-z_0-9]+) = ")


@dataclass(frozen=True, slots=True)
class Block:
    """One block of a page.

    Args:
        by: the file that runs or reads it, or in words why none does; empty without a mark.
        text: what it says.
    """

    by: str
    text: str


def blocks(page: str) -> list[Block]:
    """Return every block of a page, in order.

    Raises:
        ValueError: a block has no end, or is not at the margin.
    """
    found = [Block(match["by"] or "", match["text"]) for match in BLOCK.finditer(page)]
    if 2 * len(found) != len(re.findall(r"^\s*```", page, re.MULTILINE)):
        raise ValueError("a block has no end, or is not at the margin")
    return found


def all_blocks() -> list[Block]:
    """Return the blocks of all pages, of `MARKED` those with a mark."""
    found = [block for page in PAGES for block in blocks(page.read_text(encoding="utf-8"))]
    marked = [block for page in MARKED for block in blocks(page.read_text(encoding="utf-8"))]
    return [*found, *(block for block in marked if block.by)]


def block_that_says(words: str) -> Block:
    """Return the one block with these words; ValueError for none or several."""
    found = [block for block in all_blocks() if words in block.text]
    if len(found) != 1:
        raise ValueError(f"{len(found)} blocks say {words!r}")
    return found[0]


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
