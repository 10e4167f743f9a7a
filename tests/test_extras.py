"""An extra can be absent: deleted from a copy, not configured, or brought by somebody else.

`python -m tests.extras` has the whole of it: each extra alone, a demo and the quick tests.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from doorctl.config.extras import EXTRAS, Listed, find
from doorctl.extras.extra import Extra
from tests.extras.copies import ASKING, ROOT, Copy
from tests.fakes.waiting import LIMIT_S
from tests.sources.http_server import free_port

PROGRAM = """
import atexit, sys

from doorctl.cli.app import main


def told():
    print(*(name for name in sys.modules if name.startswith("doorctl.extras")), file=sys.stderr)


atexit.register(told)
main()
"""
"""Runs a command, and names in the end what of extras is imported."""


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    """Return a copy of the package."""
    return Copy.of(tmp_path / "copy")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    """Return a copy from which nothing is taken, and what `init` makes, under another name."""
    copy = Copy.of(tmp_path_factory.mktemp("whole") / "copy")
    copy.configure("")
    assert copy.run("init").returncode == 0
    (copy.directory / "data").rename(copy.directory / "as made")
    return copy


@pytest.fixture
def made(whole: Copy) -> Copy:
    """Return it with nothing but that in its storage: an alarm of before has its text looked up."""
    shutil.rmtree(whole.directory / "data", ignore_errors=True)
    shutil.copytree(whole.directory / "as made", whole.directory / "data")
    return whole


def test_each_folder_is_an_extra_on_the_list() -> None:
    """Nothing lies in that room that no configuration can ask for."""
    folders = {path.parent.name for path in (ROOT / "doorctl/extras").glob("*/__init__.py")}

    assert folders == {listed.name for listed in EXTRAS} == ASKING.keys()
    assert all(isinstance(find(name), Extra) for name in folders)


@pytest.mark.parametrize("extra", EXTRAS, ids=lambda extra: extra.name)
def test_one_that_was_deleted_is_missed_where_it_is_asked_for_alone(
    copy: Copy, extra: Listed
) -> None:
    """Without it a configuration that does not ask for it is good; one that does is one line."""
    copy.delete(extra.name)
    copy.configure("")
    assert copy.run("check-config").returncode == 0

    copy.configure(ASKING[extra.name])
    refused = copy.run("check-config")

    assert refused.returncode == 1
    (line,) = refused.stderr.splitlines()
    assert line.startswith(f"{copy.file}: {extra.places[0].where}: this installation has no extra ")
    assert extra.name in line


def test_without_any_the_branch_lives(copy: Copy) -> None:
    """Door and web begin and let people in and keep them out; the rest's tests pass."""
    for extra in EXTRAS:
        copy.delete(extra.name)

    shown = copy.run("demo", "--once")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "10 of 10" in shown.stdout
    tested = copy.test("tests/door", "tests/doord/test_doorway.py", "tests/config/test_hours.py")
    assert tested.returncode == 0, tested.stdout


@contextmanager
def running(copy: Copy, process: str) -> Iterator[subprocess.Popen[str]]:
    """Run a process until the end of the block, which begins once it is ready."""
    command = [sys.executable, "-c", PROGRAM, process, "--config"]
    with (
        (copy.directory / "stderr").open("w") as told,
        subprocess.Popen(
            [*command, str(copy.file)],
            cwd=copy.directory,
            env=copy.environment,
            stdout=subprocess.PIPE,
            stderr=told,
            text=True,
        ) as begun,
    ):
        try:
            assert begun.stdout is not None
            events = (json.loads(line)["event"] for line in begun.stdout)
            assert "ready" in events
            yield begun
        finally:
            begun.terminate()
            begun.communicate(timeout=LIMIT_S)


def imported_by(copy: Copy, process: str) -> set[str]:
    """Return which modules of extras a process imports until it ends."""
    with running(copy, process):
        pass
    return {*(copy.directory / "stderr").read_text("utf-8").split()}


BARE = {"doorctl.extras", "doorctl.extras.extra"}


def of(name: str, *parts: str) -> set[str]:
    """Return an extra's declaration, and these modules of it."""
    return {f"doorctl.extras.{name}", *(f"doorctl.extras.{name}.{part}" for part in parts)}


HUBS = '[web.hub]\nservers = ["nats://127.0.0.1:1"]\n'


@pytest.mark.parametrize(
    ("process", "asked", "more"),
    [
        ("run", "", set()),
        ("web", "", set()),
        ("run", ASKING["outputs"], of("outputs", "following", "switching")),
        ("web", ASKING["metrics"], of("metrics", "figures")),
        ("run", ASKING["usb"], of("usb", "device", "keys", "layouts", "records")),
        ("web", ASKING["usb"], of("usb")),
        ("web", ASKING["osdp"] + '[keypad]\nkind = "osdp"\n', of("osdp")),
        ("run", ASKING["sip2"], of("sip2")),
        ("web", ASKING["sip2"], of("sip2", "client", "frames", "meaning")),
        ("web", ASKING["koha"], of("koha", "client")),
        ("web", ASKING["folio"], of("folio", "client")),
        ("web", ASKING["oidc"], of("oidc", "pages", "sign_ins_pending", "signing_in")),
        (
            "web",
            ASKING["fleet"],
            of(
                *("fleet", "bodies", "connection", "keeping", "left", "listening", "messages"),
                *("reporting", "reports", "transfers"),
            ),
        ),
        (
            "web",
            HUBS,
            of("fleet", "connection", "hub", "hub_pages", "keeping", "messages", "reports"),
        ),
        ("run", ASKING["fleet"], of("fleet")),
    ],
)
def test_a_process_imports_what_is_configured_alone(
    made: Copy, process: str, asked: str, more: set[str]
) -> None:
    """An extra costs the door and the web process nothing where the file does not ask for it."""
    made.configure(asked, free_port())

    assert imported_by(made, process) == BARE | more


HUB = '''
"""A page of all branches."""

from dataclasses import dataclass

from doorctl.config.tables import key
from doorctl.core.alarms import over, today
from doorctl.core.errors import Problem
from doorctl.extras.extra import CommandLine, Extra


@dataclass(frozen=True, slots=True, kw_only=True)
class Hub:
    """Where the other branches are."""

    doors: int = key(within=(1, 9), example=3)


def odd(values):
    """Half of them are not ours."""
    if values.get("hub.doors", 1) % 2 == 0:
        yield Problem("hub.doors", "found an even number; give an odd one")


def pages(parts):
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    (hub,) = parts.app.config.all_of(Hub)
    return [Route("/hub", lambda _request: PlainTextResponse(f"{hub.doors} doors"))]


EXTRA = Extra(
    section=Hub,
    rules=(odd,),
    alarms={
        "hub_silent": today("The hub does not answer.", "See whether it runs."),
        "hub_answers": over("hub_silent", "The hub answers again."),
    },
    modules=("json",),
    notes=lambda config: ["hub: all is seen"],
    pages=pages,
    commands={"hub": CommandLine("doorctl.extras.hub.command:hub", "Show all branches.")},
)
'''
COMMAND = """
import click

from doorctl.core.alarms import kind_of
from doorctl.core.language import own


@click.command()
def hub():
    silent = kind_of("hub_silent").means
    click.echo(own("da").words.pgettext("alarm", silent))
"""
DANISH = """
msgctxt "alarm"
msgid "The hub does not answer."
msgstr "Navet svarer ikke."
"""


@pytest.fixture
def hub(copy: Copy) -> Copy:
    """Return a copy to which somebody has added an extra: a folder, and a line of the list."""
    folder = copy.directory / "doorctl/extras/hub"
    folder.mkdir()
    (folder / "__init__.py").write_text(HUB)
    (folder / "command.py").write_text(COMMAND)
    (folder / "da.po").write_text(DANISH)
    listed = copy.directory / "doorctl/config/extras.py"
    text = listed.read_text("utf-8")
    listed.write_text(text.replace("EXTRAS = (", 'EXTRAS = (Listed("hub", tables=("hub",)),', 1))
    return copy


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ("[hub]\ndoors = 99", "hub.doors: found 99; give a whole number from 1 to 9, such as 3"),
        ("[hub]", "hub.doors: missing; give a whole number from 1 to 9, such as 3"),
        ("[hub]\ndoors = 2", "hub.doors: found an even number; give an odd one"),
        ("[hub]\ndoors = 3\ndors = 3", "hub.dors: unknown key; did you mean hub.doors?"),
        ("[hbu]", "hbu: unknown table; did you mean [hub]?"),
    ],
)
def test_what_is_wrong_with_an_added_table_is_told_as_for_others(
    hub: Copy, lines: str, told: str
) -> None:
    """Its keys are checked like those of any other table, and so is what is between them."""
    hub.configure(lines)

    assert hub.run("check-config").stderr == f"{hub.file}: {told}\n"


def test_an_extra_that_is_added_is_one_folder_and_one_line(hub: Copy) -> None:
    """It has its table, note, alarm, catalogue, command and page; no other line was touched."""
    hub.configure("[hub]\ndoors = 3", port := free_port())

    assert "hub: all is seen" in hub.run("check-config").stdout
    assert "\nExtras:\n  hub " in hub.run("--help").stdout
    assert hub.run("hub").stdout == "Navet svarer ikke.\n"
    assert hub.run("init").returncode == 0
    with running(hub, "web"):
        assert httpx2.get(f"http://127.0.0.1:{port}/hub").text == "3 doors"


def test_what_an_extra_needs_and_is_not_installed_is_named(hub: Copy) -> None:
    """Its libraries come with the package's own extra of that name."""
    declared = hub.directory / "doorctl/extras/hub/__init__.py"
    declared.write_text(HUB.replace('("json",)', '("nowhere_to_be_found",)'))
    hub.configure("[hub]\ndoors = 3")

    told = "needs nowhere_to_be_found, not installed; pip install 'doorctl[hub]'"
    assert hub.run("check-config").stderr == f"{hub.file}: hub: {told}\n"
