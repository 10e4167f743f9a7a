"""What `check-config` says of the directories of two users, and of hours that are past."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from doorctl.cli.hours import calendar, mode
from doorctl.cli.installation import check_config, init
from doorctl.config import load
from doorctl.config.shipped import shipped
from doorctl.core.errors import ConfigError
from doorctl.core.identity import unshared
from tests.config.conftest import RIGHT

WEB, DOOR, GROUP = 64001, 64002, 64003


@pytest.fixture
def places(tmp_path: Path) -> tuple[Path, Path]:
    """Return web's directory and the door's, as an installation makes them but for their owners."""
    both = tmp_path / "web", tmp_path / "door"
    for one in both:
        one.mkdir()
        one.chmod(0o750)
    return both


def checked(*words: object, sets: Iterable[str] = ()) -> Result:
    """Run `check-config`, with `--set` before each of some."""
    options = (word for one in sets for word in ("--set", one))
    return CliRunner().invoke(check_config, [*map(str, words), *options])


def told(web: Path, door: Path) -> list[str]:
    """Return what is said of the two on stderr; the file itself is good."""
    places = (f"storage.directory={web}", f"storage.door_directory={door}")
    done = checked(shipped("demo.toml"), sets=places)
    assert done.exit_code == 0, done.output
    return done.stderr.splitlines()


def test_one_directory_is_one_users(places: tuple[Path, Path]) -> None:
    """Where door and web are one user, nothing is asked of its directory."""
    places[0].chmod(0o700)

    assert told(places[0], places[0]) == []


def test_what_is_not_there_yet_is_made_by_systemd(tmp_path: Path) -> None:
    """A file is checked before the first start too."""
    assert told(tmp_path / "web", tmp_path / "door") == []


def test_a_sender_that_tells_nobody_is_told() -> None:
    """The example's addresses are empty; with one, nothing is said."""
    sender = shipped("sync.toml")
    hook = ("alarms.webhook.url=https://vagt.example/hook", "alarms.webhook.secret_file=hook.key")
    silent, heard = checked(sender), checked(sender, sets=hook)

    assert (silent.exit_code, heard.exit_code) == (0, 0)
    assert "[alarms]: none is set, so nobody hears when exports stop" in silent.stderr
    assert "[alarms]" not in heard.stderr


def test_a_branch_without_a_controller_is_told() -> None:
    """Each key that is empty, on stderr; the file is good all the same, and the door starts."""
    whole = checked(shipped("demo.toml"))
    half = checked(shipped("demo.toml"), sets=("controller.name=", "controller.mail="))

    assert (whole.exit_code, whole.stderr) == (0, "")
    assert half.exit_code == 0
    assert "controller.name, controller.mail: empty, so the letter" in half.stderr
    assert "controller" not in checked(shipped("sync.toml")).stderr


IN = "keeps out: 1 charge denied unless another place from 5 on, a debt at its limit or an expiry"


@pytest.mark.parametrize(
    ("sets", "said"),
    [
        ((), f"{IN} says why, 5 card reported lost; lets in: 2 renewal denied, "),
        (("lms.deny_flags=[7]",), "5 card reported lost, 7 too many overdue; lets in: 2 "),
        (
            ("lms.deny_flags=[1]",),
            "keeps out: 1 charge denied for whatever reason, debtors too, 5 card reported lost; ",
        ),
        (
            ("lms.allow_charge_denied=true",),
            "keeps out: 5 card reported lost; lets in: 1 charge denied, 2 renewal denied, ",
        ),
        (('policy.deny_blocks=["D"]',), "keeps out: none; lets in: 1 charge denied, 2 "),
    ],
)
def test_whom_the_flags_of_sip2_keep_out_is_told(sets: tuple[str, ...], said: str) -> None:
    """In words and in JSON, by the settings as they are; nothing is said where SIP2 is not asked.

    Bug (mission review): nothing said that `deny_flags = []` let in whom the library had barred.
    """
    sip2 = ("lms.kind=sip2", "lms.url=sip2s://sip2.example:6002", *sets)
    done, other = checked(shipped("demo.toml"), sets=sip2), checked(shipped("demo.toml"))
    (note,) = json.loads(checked(shipped("demo.toml"), "--json", sets=sip2).stdout)["notes"]

    assert (done.exit_code, done.stderr) == (0, "")
    assert said in done.stdout
    assert note in done.stdout
    assert "lms" not in other.stdout


MAPPED = ("source.map.identifiers.card=cardnumber", "source.map.blocks=debarred")
LEARNT = (*MAPPED, "source.pins=learnt")
ACCOUNT = ("lms.user=doorctl", "lms.password_file=lms.password")
BY = {
    "koha": ("lms.kind=koha", "lms.url=https://koha.example", *ACCOUNT),
    "folio": ("lms.kind=folio", "lms.url=https://f.example", "lms.agency=randers", *ACCOUNT),
    "fbs": ("lms.kind=fbs", "lms.url=https://fbs.example", "lms.agency=DK-773000", *ACCOUNT),
    "sip2": ("lms.kind=sip2", "lms.url=sip2s://sip2.example:6002"),
}


@pytest.mark.parametrize("name", ["demo.toml", "sync.toml"])
def test_a_map_without_pins_is_one_on_purpose(name: str) -> None:
    """Neither on a branch nor on the server are PINs left out by oversight."""
    done = checked(shipped(name), sets=MAPPED)

    assert done.exit_code == 1
    assert "source.map.pincode: missing; give the PINs' path" in str(done.exception)


def test_a_branch_learns_pins_where_a_library_system_checks_them() -> None:
    """Of whatever kind it is; without one the branch's own export would let nobody in."""
    bare = checked(shipped("demo.toml"), sets=LEARNT)
    needless = checked(shipped("demo.toml"), sets=(*LEARNT, "policy.require_pin=false"))
    by = {kind: checked(shipped("demo.toml"), sets=(*LEARNT, *sets)) for kind, sets in BY.items()}

    assert bare.exit_code == 1
    assert 'source.pins: found "learnt", but no library system is there' in str(bare.exception)
    assert (needless.exit_code, needless.stderr) == (0, "")
    assert {kind: done.exit_code for kind, done in by.items()} == dict.fromkeys(BY, 0)
    assert not any("whose own [lms]" in done.stdout for done in by.values())


def test_a_server_says_that_its_branches_need_a_library_system() -> None:
    """It sees none of their files, so that it can't refuse, and says it in a sentence."""
    done = checked(shipped("sync.toml"), sets=LEARNT)

    assert done.exit_code == 0
    assert "source: the export has no PINs, so a patron gets in only at a branch" in done.stdout
    assert "whose own [lms]" not in checked(shipped("sync.toml")).stdout


def test_a_branch_without_a_usual_week_is_told(tmp_path: Path) -> None:
    """Before the restart that would close it; not before `init`, nor once the week is set.

    Bug (a second reader): a branch that went over to staff's week was closed, and nobody had said.
    """
    file, places = str(shipped("demo.toml")), [f"storage.directory={tmp_path}/data"]
    places += [f"secrets.installation_key_file={tmp_path}/the.key", "control.socket=none.sock"]
    options = [word for place in places for word in ("--set", place)]
    by_staff = [*options, "--set", "hours.source=staff"]
    fresh = checked(file, *by_staff)
    assert CliRunner().invoke(init, ["--config", file, *options]).exit_code == 0

    silent, warned = checked(file, *options), checked(file, *by_staff)
    command = warned.stderr.partition("doorctl calendar ")[2].split()
    shown = CliRunner().invoke(mode, ["--config", file, *by_staff])
    changed = CliRunner().invoke(calendar, [*command, "--config", file, *by_staff])
    again = checked(file, *by_staff)

    assert "no usual week is set, so the door is closed" in warned.stderr
    assert "No usual week is set" in shown.output
    assert changed.exit_code == 0, changed.output
    assert "week" not in fresh.stderr + silent.stderr + again.stderr


def test_one_owner_of_both_is_told(places: tuple[Path, Path]) -> None:
    """Two directories of one user: one of the processes could write nothing in its own.

    Bug (outside look): a directory of the wrong owner or mode, and `lms.checksum` beside FBS,
    were told by nobody.
    """
    (line,) = told(*places)

    assert "'s and " in line
    assert "chown" in line


@pytest.mark.parametrize("mode", [0o700, 0o755, 0o770, 0o751])
def test_another_mode_is_told(mode: int, places: tuple[Path, Path]) -> None:
    """What the other process can't read, or anybody can, or the other can write in."""
    places[1].chmod(mode)

    assert f"{places[1]} is of mode {mode:04o}" in told(*places)[0]


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a directory away")
def test_a_user_each_and_one_group(places: tuple[Path, Path]) -> None:
    """As the installation makes them nothing is told; of two groups it is."""
    for one, owner in zip(places, (WEB, DOOR), strict=True):
        os.chown(one, owner, GROUP)

    assert list(unshared(*places)) == []
    os.chown(places[1], DOOR, GROUP + 1)
    (line,) = unshared(*places)
    assert "of two groups" in line


def test_hours_that_are_past_are_told_here_alone(tmp_path: Path) -> None:
    """Each exception is one problem; every process loads the same file without a word."""
    path = tmp_path / "doorctl.toml"
    dates = ("2025-12-24", "2199-12-24", "2025-12-31")
    listed = "".join(f"[[hours.exceptions]]\ndate = {date}\n" for date in dates)
    path.write_text(f'{RIGHT}[hours]\nmonday = ["08:00-20:00"]\n{listed}', encoding="utf-8")

    done = checked(path, sets=[f"storage.directory={tmp_path}"])

    assert isinstance(done.exception, ConfigError)
    assert [problem.where for problem in done.exception.problems] == [
        "hours.exceptions[0].date",
        "hours.exceptions[2].date",
    ]
    assert len(load(path).opening.exceptions) == 3


@pytest.mark.parametrize(("pin", "high"), [(2, "true"), (17, "false")])
def test_a_relay_that_opens_undriven_is_told_by_a_person_alone(
    pin: int, high: str, tmp_path: Path
) -> None:
    """`check-config` refuses the pin; every process loads the same file, so the door goes on.

    Bug (an outside technician): GPIO2, which is pulled up at boot, was good for an active-high
    relay.
    """
    path = tmp_path / "doorctl.toml"
    gpio = f"[gpio]\nrelay_pin = {pin}\nrelay_active_high = {high}\n"
    path.write_text(RIGHT + gpio, encoding="utf-8")

    done = checked(path, sets=[f"storage.directory={tmp_path}"])

    assert isinstance(done.exception, ConfigError)
    assert [problem.where for problem in done.exception.problems] == ["gpio.relay_pin"]
    assert load(path).gpio.relay_pin == pin


def test_a_script_reads_what_is_wrong_or_good(tmp_path: Path) -> None:
    """As JSON on stdout alone: every problem with its place, or the branch; the same exit codes."""
    path = tmp_path / "doorctl.toml"
    path.write_text(RIGHT.replace("[door]", "[dor]") + "[visits]\nretention_days = 31\n", "utf-8")
    wrong, right = checked(path, "--json"), checked(shipped("demo.toml"), "--json")

    assert (wrong.exit_code, wrong.stderr, right.exit_code, right.stderr) == (1, "", 0, "")
    told, good = json.loads(wrong.stdout), json.loads(right.stdout)
    assert (told["file"], told["good"], told["branch"]) == (str(path), False, None)
    assert "visits.retention_days" in {problem["where"] for problem in told["problems"]}
    assert (good["good"], good["problems"], set(good["branch"])) == (True, [], {"id", "name"})
    assert set(told) == set(good)


@pytest.mark.parametrize("required", [True, False])
def test_a_door_without_a_pin_is_told_what_opens_it(*, required: bool) -> None:
    """A picture of a barcode is a copied card; the file is good all the same."""
    done = checked(shipped("demo.toml"), sets=[f"policy.require_pin={str(required).lower()}"])

    assert done.exit_code == 0
    assert ("policy.require_pin is false" in done.stdout) is not required
