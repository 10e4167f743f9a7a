from __future__ import annotations

import re
import shlex
import subprocess
import tomllib
from itertools import product
from pathlib import Path

import pytest

from tests.docs.handbook import parse
from tests.install.pages import PAGES, ROOT, Block, all_blocks, block_that_says, blocks, edited

AUTHORITY = block_that_says("openssl req -x509").text
COMMANDS = [
    (block.by, line)
    for block in all_blocks()
    for line in block.text.splitlines()
    if line.startswith("doorctl ")
]


def test_every_block_of_the_pages_is_accounted_for() -> None:
    """Each names the file that runs or reads it, or why none does."""
    found = {block.by for block in all_blocks()}

    assert {by for by in found if not (ROOT / by).is_file()} == {
        "a board's own file",
        "nothing here, it needs a screen",
    }


@pytest.mark.parametrize(("by", "line"), COMMANDS, ids=[line for _by, line in COMMANDS])
def test_what_a_page_tells_to_type_is_a_command_that_is_run(by: str, line: str) -> None:
    """Its name and options are there, and the file that its block names calls it."""
    parse(line)
    called = re.sub(r'[",()\s]+', " ", (ROOT / by).read_text(encoding="utf-8"))
    words = [word for word in line.split()[1:3] if re.fullmatch("[a-z-]+", word)]

    assert " ".join(words) in called or "block_that_says" in called


@pytest.mark.parametrize("page", ["README.md", *(str(page.relative_to(ROOT)) for page in PAGES)])
def test_the_package_is_the_one_way_to_install(page: str) -> None:
    """No page for operators builds an environment of Python's; README's are for developers.

    Bug (architecture review): the page had two ways, each with its harness, for 640 lines.
    """
    text = (ROOT / page).read_text(encoding="utf-8")

    assert re.search(r"/opt/doorctl/bin|pip install (?!-q )|venv /opt", text) is None
    assert len(text.splitlines()) <= 250


def test_a_certificate_serves_for_what_it_is_made_for(tmp_path: Path) -> None:
    """A branch's, which one authority vouches for too, makes nobody a sender at the others.

    Bug (a second reading): by the installation page a branch's own certificate made whoever
    took it a sender at every other branch, as far as TLS goes.
    """
    page = AUTHORITY.replace("/etc/doorctl/", "").replace("/root/", "").replace("3072", "2048")
    for line in page.splitlines():
        subprocess.run(shlex.split(line), cwd=tmp_path, check=True, capture_output=True)
    serves = {}
    for name, use in product(("sender", "web"), ("sslclient", "sslserver")):
        line = f"openssl verify -CAfile branches-ca.pem -purpose {use} {name}.pem"
        done = subprocess.run(line.split(), cwd=tmp_path, check=False, capture_output=True)
        serves[name, use] = done.returncode == 0

    assert {both for both, fits in serves.items() if fits} == {
        ("sender", "sslclient"),
        ("web", "sslserver"),
    }


def test_the_keys_of_an_authority_are_there_to_be_set() -> None:
    """Each is in its table of the example, and no other is changed by setting it."""
    keys = block_that_says("client_ca_file").text
    example = (ROOT / "config" / "doorctl.toml").read_text(encoding="utf-8")

    changed = tomllib.loads(edited(example, keys))

    assert changed == _laid_over(tomllib.loads(example), tomllib.loads(keys))
    sender = tomllib.loads((ROOT / "config" / "sync.toml").read_text(encoding="utf-8"))
    assert {"ca_file", "certificate_file", "key_file"} <= set(sender["sync"]["targets"][0])


@pytest.mark.parametrize(
    ("page", "why"),
    [
        ("<!-- run by: a -->\n```\nls\n", "no end"),
        ("- a point\n\n  ```\n  ls\n  ```\n", "not at the margin"),
    ],
)
def test_a_block_that_can_not_be_copied_is_refused(page: str, why: str) -> None:
    """No command that is added to a page is overlooked because of its form."""
    with pytest.raises(ValueError, match=why):
        blocks(page)


def test_a_block_is_taken_as_it_stands() -> None:
    """What a reader copies is what is run: no blank, quote or ``#`` is lost."""
    text = "a  'b' # c\n\td && e\n"

    assert blocks(f"<!-- run by: x -->\n```sh\n{text}```\n") == [Block("x", text)]
    assert blocks(f"<!-- run by: x -->\n\n```sh\n{text}```\n") == [Block("", text)]


def test_a_key_that_is_not_there_is_no_edit() -> None:
    """A key that was renamed in the example fails here, and not at somebody's Pi."""
    with pytest.raises(ValueError, match=r"\[a\] has no d"):
        edited("[a]\nb = 1\n[c]\nd = 2\n", "[a]\nd = 3\n")
    with pytest.raises(ValueError, match="is not in list"):
        edited("[a]\nb = 1\n", "[e]\nb = 3\n")


def _laid_over(below: object, above: object) -> object:
    if isinstance(below, dict) and isinstance(above, dict):
        return below | {key: _laid_over(below.get(key), value) for key, value in above.items()}
    return above
