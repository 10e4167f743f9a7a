from __future__ import annotations

import re
import shlex
import subprocess
import tomllib
from itertools import product
from pathlib import Path

import pytest

from tests.install.readme import README, ROOT, Block, blocks, edited

PAGE = README.read_text(encoding="utf-8")


def test_every_block_of_the_page_is_accounted_for() -> None:
    """Each is done by ``python -m tests.install``, or says who sees to it that it is right."""
    found = blocks(PAGE)

    assert {(block.place, block.what) for block in found if block.place != "elsewhere"} == {
        ("branch", "install"),
        ("branch", "running"),
        ("branch", "edit"),
        ("branch", "file"),
        ("server", "install"),
        ("server", "running"),
        ("server", "edit"),
    }
    others = {block.what for block in found if block.place == "elsewhere"}
    tested = {name for name in others if (ROOT / name).is_file()}
    assert tested == {
        "tests/systemd/test_units.py",
        "tests/e2e/test_rotation.py",
        "tests/e2e/test_restoring.py",
        "tests/web/test_tls.py",
        "tests/packaging/test_install.py",
    }
    assert others - tested == {"a board's own file", "needs a screen"}


def test_every_file_of_the_folder_is_installed() -> None:
    """Units and settings that no command of the page names would never be on a machine.

    Only a package keeps the release before beside the new one, and only there can an upgrade
    be ended.
    """
    commands = "\n".join(block.text for block in blocks(PAGE) if block.what == "install")
    folder = {path.name for path in README.parent.iterdir()} - {"README.md"}
    folder -= {"doorctl-upgrade.service"}

    assert {name for name in folder if f"systemd/{name}" not in commands} == set()


def test_what_the_units_name_as_their_documentation_is_there() -> None:
    """``systemctl status`` names a file that the page's commands put there, on both machines."""
    units = "".join(unit.read_text() for unit in README.parent.glob("*.service"))
    named = set(re.findall("^Documentation=file:(.*)$", units, re.MULTILINE))
    commands = [block.text for block in blocks(PAGE) if block.what == "install"]

    assert named == {"/opt/doorctl/README.md"}
    assert sum("cp README.md /opt/doorctl/\n" in text for text in commands) == 2


def test_what_pip_installs_can_be_read_by_the_services() -> None:
    """Root's umask is 027 on a hardened Debian: what runs as a user of its own would not start.

    Bug (the installation, tried by a hardened root): with a umask of 027 the page's commands
    made a program that the services could not read, and a load ended in a traceback.
    """
    installing = [block.commands() for block in blocks(PAGE) if "/bin/pip install" in block.text]

    assert [commands[0] for commands in installing] == ["umask 022"] * 3


def test_a_certificate_serves_for_what_it_is_made_for(tmp_path: Path) -> None:
    """A branch's, which one authority vouches for too, makes nobody a sender at the others.

    Bug (a second reading): by the installation page a branch's own certificate made whoever
    took it a sender at every other branch, as far as TLS goes.
    """
    page = PAGE.replace("/etc/doorctl/", "").replace("/root/", "").replace("3072", "2048")
    for line in page.splitlines():
        if line.startswith("openssl "):
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


@pytest.mark.parametrize(
    ("page", "why"),
    [
        ("```\nls\n```\n", "no mark"),
        ("<!-- branch: install -->\n\n```\nls\n```\n", "no mark"),
        ("<!-- branch: boot -->\n```\nls\n```\n", "what is 'boot'"),
        ("<!-- branch: edit -->\n```\na = 1\n```\n", "what is 'edit'"),
        ("<!-- branch: install /etc -->\n```\nls\n```\n", "what is 'install /etc'"),
        ("<!-- branch: install -->\n```\nls\n", "no end"),
        ("- a point\n\n  ```\n  ls\n  ```\n", "not at the margin"),
    ],
)
def test_a_block_that_nobody_placed_is_refused(page: str, why: str) -> None:
    """No command that is added to the page stays untried because its mark was forgotten."""
    with pytest.raises(ValueError, match=why):
        blocks(page)


def test_a_block_is_taken_as_it_stands() -> None:
    """What a reader copies is what is run: no blank, quote or ``#`` is lost."""
    text = "a  'b' # c\n\td && e\n"
    (block,) = blocks(f"<!-- server: install -->\n```sh\n{text}```\n")

    assert (block.place, block.commands()) == ("server", text.splitlines())


@pytest.mark.parametrize(
    "block", [one for one in blocks(PAGE) if one.what == "edit"], ids=lambda block: block.path
)
def test_the_keys_that_the_page_sets_are_there_to_be_set(block: Block) -> None:
    """Whoever opens our example in an editor finds each key in its table, and changes no other."""
    name, keys = block.path.rpartition("/")[2], block.text
    example = (ROOT / "config" / name).read_text(encoding="utf-8")

    changed = tomllib.loads(edited(example, keys))

    assert changed == _laid_over(tomllib.loads(example), tomllib.loads(keys))


def test_a_key_that_is_not_there_is_no_edit() -> None:
    """A key that was renamed in the example fails here, and not at somebody's Pi."""
    with pytest.raises(ValueError, match=r"\[a\] has no d"):
        edited("[a]\nb = 1\n[c]\nd = 2\n", "[a]\nd = 3\n")
    with pytest.raises(ValueError, match="is not in list"):
        edited("[a]\nb = 1\n", "[e]\nb = 3\n")


def _laid_over(below: object, above: object) -> object:
    if isinstance(below, dict) and isinstance(above, dict):
        return below | {key: _laid_over(below.get(key), one) for key, one in above.items()}
    if isinstance(below, list) and isinstance(above, list) and above and isinstance(above[0], dict):
        return [_laid_over(*pair) for pair in zip(below, above, strict=True)]
    return above
