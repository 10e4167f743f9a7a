from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from doorctl import __version__
from doorctl.cli.app import app
from tests.docs.diagrams import COMMANDS, DOCUMENTS, PARTS, drawn

ROOT = Path(__file__).parents[2]


def commands() -> list[str]:
    """Every command, sub-commands with their group."""
    context = click.Context(app)
    names = []
    for name in app.list_commands(context):
        command = app.get_command(context, name)
        if isinstance(command, click.Group):
            names += [f"{name} {sub}" for sub in command.commands]
        else:
            names.append(name)
    return names


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_is_drawn_from_the_code_is_up_to_date(document: Path) -> None:
    """Diagrams and tables in the documents are what the code's tables say today."""
    text = document.read_text("utf-8")

    assert drawn(text) == text, "run: python -m tests.docs.diagrams"


def test_every_table_and_diagram_stands_somewhere() -> None:
    """None was lost when a document was written anew."""
    texts = [document.read_text("utf-8") for document in DOCUMENTS]

    assert [name for name in PARTS if sum(f"<!-- {name} -->" in text for text in texts) != 1] == []


@pytest.mark.parametrize("command", commands())
def test_every_command_is_listed_and_has_help(command: str) -> None:
    """Its room's README has it; it says in a sentence what it does, and each option what for."""
    assert f"`doorctl {command}" in COMMANDS.read_text("utf-8")
    context = click.Context(app)
    found: click.Command | None = app
    for word in command.split():
        assert isinstance(found, click.Group)
        found = found.get_command(context, word)
    assert found is not None
    assert found.help
    assert found.get_help(click.Context(found, info_name=command)).startswith(f"Usage: {command}")
    options = [param for param in found.params if isinstance(param, click.Option)]
    assert all(option.help for option in options)


def test_every_event_and_alarm_that_is_emitted_is_in_a_document() -> None:
    """Scripts rely on the names of log lines: none is written that no document names."""
    sources = "\n".join(path.read_text("utf-8") for path in (ROOT / "doorctl").rglob("*.py"))
    events = set(re.findall(r'\.emit\(\s*"(\w+)"', sources))
    kinds = set(re.findall(r'(?:"alarm", kind=|_alarm\(\s*)"(\w+)"', sources))

    assert {"ready", "decision", "relay"} <= events
    documents = "\n".join(path.read_text("utf-8") for path in DOCUMENTS)
    assert {name for name in events | kinds if f"`{name}`" not in documents} == set()


def test_every_field_of_a_log_line_is_in_the_table() -> None:
    """Whoever reads the journal by a script finds each field where its line is listed.

    Bug (documents read anew): the line `ready` has `cards`; the table had `patrons`.
    """
    rows = re.findall(
        r"^\| ((?:`\w+`(?:, )?)+) \| (.*) \|$", COMMANDS.read_text("utf-8"), re.MULTILINE
    )
    listed = {
        event: set(re.findall(r"`(\w+)`", fields))
        for events, fields in rows
        for event in re.findall(r"`(\w+)`", events)
    }
    for path in (ROOT / "doorctl").rglob("*.py"):
        for event, fields in emitted(path):
            assert fields <= listed[event], f"{path.relative_to(ROOT)}: {event}"
    assert listed["ready"] == {"version", "pid", "epoch", "cards", "clock"}


def emitted(path: Path) -> Iterator[tuple[str, set[str]]]:
    """Yield name and fields of each log line that a module writes."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        match node:
            case ast.Call(
                func=ast.Attribute(attr="emit"), args=[ast.Constant(value=str(event)), *_]
            ):
                yield event, {keyword.arg for keyword in node.keywords if keyword.arg}


def test_the_front_page_is_read_in_two_minutes() -> None:
    """At most 150 lines, the two commands first, and how far it is said before them."""
    text = (ROOT / "README.md").read_text("utf-8")

    assert len(text.splitlines()) <= 150
    assert text.index("Nothing here has run on a real Pi") < text.index("## Run it")
    assert text.index("## Run it") < text.index("## Test it") < text.index("## How it works")


def test_the_release_is_said_alike() -> None:
    """The program, the changelog's first section and the front page name the same release."""
    first = re.search(
        r"^## \[(\S+)\] - \d{4}-\d\d-\d\d$",
        (ROOT / "CHANGELOG.md").read_text("utf-8"),
        re.MULTILINE,
    )

    assert first is not None
    assert first[1] == __version__
    assert f"version {__version__.rpartition('.')[0]}," in (ROOT / "README.md").read_text("utf-8")


def test_no_link_in_a_document_is_dead() -> None:
    """What a document points to in the checkout is there, and so is the heading it names."""
    dead = []
    for page in pages():
        for target, heading in _LINK.findall(page.read_text("utf-8")):
            to = (page.parent / target).resolve() if target else page
            if not to.exists() or (heading and heading not in _headings(to.read_text("utf-8"))):
                dead.append(f"{page.relative_to(ROOT)}: {target}#{heading}")
    assert dead == []


_LINK = re.compile(r"\]\((?!https?:|mailto:)([^)#\s]*)#?([^)\s]*)\)")


def _headings(text: str) -> set[str]:
    lines = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    if named := re.findall(r"\{#([\w-]+)\}$", text, re.MULTILINE):
        return set(named)  # the handbook's, which are the same in both languages
    return {re.sub(r"[^\w -]", "", line.lower()).strip().replace(" ", "-") for line in lines}


def test_every_file_that_a_document_names_is_there() -> None:
    """As a path from the checkout, from ``doorctl`` or from its own folder; bare, anywhere."""
    astray = [
        f"{page.relative_to(ROOT)}: {name}"
        for page in pages()
        for name in _FILE.findall(page.read_text("utf-8"))
        if not found_at(name, page)
    ]

    assert astray == []


def test_what_a_document_names_behind_a_file_is_defined_in_it() -> None:
    """A class or function that moved is named where it is now.

    Bug (documents read anew): of a push's way the house named a file that imports `Reception`.
    """
    astray = []
    for page in pages():
        for name, behind in _NAMED.findall(page.read_text("utf-8")):
            texts = [path.read_text("utf-8") for path in found_at(name, page)]
            for word in re.findall(r"`(\w+)`", behind):
                defined = rf"^\s*(async )?(class|def) {word}\b|^{word}\b\s*[:=]"
                if not any(re.search(defined, text, re.MULTILINE) for text in texts):
                    astray.append(f"{page.relative_to(ROOT)}: {name} {word}")
    assert astray == []


_FILE = re.compile(
    r"`(\w[\w.-]*(?:/[\w.-]+)*(?:\.py|/[\w-]+\.(?:md|toml|html|css|js|po|lock)))(?:::\w+)?`"
)
_NAMED = re.compile(r"`([\w./-]+\.py)`(?:,? |\n)((?:`\w+`(?:, | and )?)+)")


def found_at(name: str, page: Path) -> list[Path]:
    """Return the files that a document means by a name."""
    if "/" not in name:
        return [path for room in ("doorctl", "tests") for path in (ROOT / room).rglob(name)]
    near = (at / name for at in (ROOT, ROOT / "doorctl", page.parent))
    return [path for path in near if path.exists()]


def pages() -> list[Path]:
    """Return the Markdown of the checkout."""
    return [
        page
        for page in ROOT.rglob("*.md")
        if not any(part.startswith(".") for part in page.relative_to(ROOT).parts)
    ]


def test_the_top_level_holds_what_was_agreed() -> None:
    """The customer fixed the top level; nothing else may grow there."""
    allowed = {
        "CHANGELOG.md",
        "LICENSE",
        "README.md",
        "config",
        "doorctl",
        "packaging",
        "pyproject.toml",
        "requirements.lock",
        "systemd",
        "tests",
    }
    built = {"build", "doorctl.egg-info", "dist"}
    found = {path.name for path in ROOT.iterdir() if not path.name.startswith(".")}

    assert found - built == allowed


def test_nothing_is_installed_that_no_digest_names() -> None:
    """Each line takes a lock file whose every package has one, or doorctl itself and no more.

    Nor is anything fetched to build with: pip checks no digest of that. A lock file names all
    that is needed, so pip looks for nothing more. Bug: for `CacheControl[filecache]` it took the
    newest release, found no digest, and yesterday's command failed.
    """
    lines = re.findall(r"pip install ([^&\n]*)", (ROOT / "README.md").read_text("utf-8"))

    assert len(lines) > 2
    for line in lines:
        locks = re.findall(r"-r (\S+)", line)
        assert "--no-deps" in line.split(), line
        assert locks or "." in line.split(), line
        assert_all_have_digests(locks)


def test_the_lock_file_names_all_that_its_packages_need() -> None:
    """README's command installs without pip's own search, and nothing is missing."""
    command = [sys.executable, "-m", "pip", "check"]
    check = subprocess.run(command, check=False, capture_output=True, text=True)

    assert (check.returncode, check.stdout) == (0, "No broken requirements found.\n")


def test_nothing_is_packed_that_no_digest_names() -> None:
    """What the package is built of comes by a lock file and its digests, or from the checkout.

    Bug (penetration test): lgpio was built as root from a file whose digest nobody had asked
    for.
    """
    script = (ROOT / "packaging" / "build").read_text("utf-8").replace("\\\n", " ")
    lines = re.findall(r'"\$\{pip\[@\]\}" (.*)', script)

    assert len(lines) > 4
    for line in lines:
        words, locks = set(line.split()), re.findall(r"-r (\S+)", line)
        assert "--no-deps" in words, line
        assert ("--no-index" in words) != (bool(locks) and "--require-hashes" in words), line
        assert_all_have_digests(locks)


def assert_all_have_digests(locks: list[str]) -> None:
    """Hold that each package of these files has one."""
    for lock in locks:
        text = (ROOT / lock).read_text("utf-8")
        pins = re.findall(r"^[A-Za-z0-9_.-]+==.*(?:\n    .*)*", text, re.MULTILINE)
        assert pins
        assert [pin for pin in pins if "--hash=sha256:" not in pin] == []


@pytest.mark.parametrize("lock", ["requirements.lock", "tests/requirements.lock"])
def test_the_lock_files_hold_every_dependency(lock: str) -> None:
    """What pyproject asks for is pinned with a hash, so an install can't drift."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = list(project["dependencies"])
    if lock.startswith("tests"):
        wanted += project["optional-dependencies"]["test"]
    text = (ROOT / lock).read_text("utf-8")
    pinned = dict(re.findall(r"^([a-z0-9-]+)==\S+ .*\n +--hash=(sha256)", text, re.MULTILINE))
    names = {re.split(r"[<>=]", name)[0].lower().replace("_", "-") for name in wanted}

    assert names - set(pinned) == set()
