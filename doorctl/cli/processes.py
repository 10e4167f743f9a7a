"""An installation and its processes: made and checked, its keys, run, looked at and tested.

systemd calls some of these on a small Pi, so that each imports what it needs when it is called.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from doorctl.cli.options import (
    config_option,
    config_options,
    counted,
    json_option,
    print_json,
    read_config,
    with_app,
    with_config,
)
from doorctl.config import Config, load_gpio

if TYPE_CHECKING:
    from doorctl.lookup.app import App
    from doorctl.rpc.status import Finding

SOMETHING_STANDS = 3

DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY")
"""Without any of them a browser would take over the terminal, or there is none."""

MARKS = {True: ("✓", "green"), False: ("✗", "red")}
WORDS = {True: "ok", False: "fails"}


@click.command()
@click.option("--once", is_flag=True, help="Play the evening and end; exit 0 if all went right.")
@click.option(
    "--port",
    default=8080,
    show_default=True,
    type=click.IntRange(0, 65535),
    help="Of the page, on this machine only; a free one where it is taken, or for 0.",
)
def demo(once: bool, port: int) -> None:
    """Draw a library's door on a page of this machine, and let you swipe cards at it.

    Needs no hardware, no configuration and no rights: the real door process runs on
    pseudo-terminals and mock pins, with 1 000 invented patrons, in a temporary directory, and the
    real staff pages run beside it. Cards can be swiped by typing, too.
    """
    from signal import SIGHUP, SIGTERM, default_int_handler, signal

    from doorctl.demo.evening import Paper, spend

    # As Ctrl-C, so that the door is stopped and the directory removed.
    for number in (SIGTERM, SIGHUP):
        signal(number, default_int_handler)
    paper = Paper.fitting(sys.stdout, os.environ)
    if not once:
        # The evening alone does not need these, so it does not load them.
        from doorctl.demo.open_house import receive

        receive(paper, sys.stdin.buffer, port, _open_browser)
    elif (wrong := spend(paper)) is not None:
        click.echo(f"doorctl: {wrong}", err=True)
        sys.exit(1)


def _open_browser(address: str) -> None:
    if any(os.environ.get(name) for name in DISPLAYS):
        import webbrowser

        webbrowser.open(address)


@click.command()
@with_config
def run(config: Config) -> None:
    """Run the door until a signal ends it: reader, keypad, decision, relay, door log.

    Prints one JSON line an event on stdout. The relay goes off first when it starts, and when
    it stops for whatever reason.
    """
    from doorctl.wiring.door import open_door

    sys.exit(open_door(config, os.environ, sys.stdout.fileno()))


@click.command()
@with_config
def web(config: Config) -> None:
    """Take pushes of patrons over HTTP until SIGTERM or SIGINT; the door decides without it.

    Prints one JSON line an event on stdout. It is the one writer of the patron cache while it
    runs, so `doorctl patrons load` is refused meanwhile.
    """
    from doorctl.wiring.web import open_web

    sys.exit(open_web(config, os.environ, sys.stdout.fileno()))


@click.command("relay-off")
@config_options
def relay_off(config_path: Path, overrides: tuple[str, ...]) -> None:
    """Switch the relay off; systemd runs this after the daemon has stopped or died.

    Of the configuration only [gpio] has to be right.
    """
    from doorctl.devices.pins import lock

    lock(load_gpio(config_path, overrides), os.environ)


@click.command()
@json_option
@with_app
def status(app: App, as_json: bool) -> None:
    """Say how the door process and its databases are.

    Exit 0 if all is well, 1 if the door is not running, 3 if it decides but something stands: an
    alarm, or a database that is missing, old or can't be read.
    """
    from doorctl.services.status import status as look

    state = look(app)
    if as_json:
        print_json(state)
    else:
        for sentence in filter(None, _sentences(state)):
            click.echo(sentence)
    if not state["running"]:
        click.echo("doorctl: the door process is not running", err=True)
        raise SystemExit(1)
    if state["alarms"] != [] or state["problem"] is not None:
        click.echo("doorctl: the door decides, but something stands; see alarms, problem", err=True)
        raise SystemExit(SOMETHING_STANDS)


@click.command()
@config_options
def check(config_path: Path, overrides: tuple[str, ...]) -> None:
    """Say in one line for Nagios, Icinga or Zabbix how the door is.

    Any user of this machine may ask. Exit 0 OK, 1 WARNING: an alarm stands, the register is old or
    web is silent, 2 CRITICAL: no patron is let in, 3 UNKNOWN: that can't be found out, such as by
    a configuration that can't be read. What was over in a moment is told for a day.
    """
    from doorctl.core.errors import DoorctlError
    from doorctl.lookup.health import Health, plugin_line
    from doorctl.services.check import check as look

    try:
        health, line = look(read_config(config_path, overrides))
    except (DoorctlError, OSError) as err:
        health, line = Health.UNKNOWN, plugin_line(Health.UNKNOWN, str(err))
    click.echo(line)
    raise SystemExit(health)


SILENT_S = 120
"""From when on `status` says that web is silent, as `check` does."""

DOOR = {
    "locked": "The door is locked.",
    "released": "The door is unlocked just now: it can be pulled open.",
    "open": "The door stands open.",
    "held": "The door has stood open for too long.",
    "forced": "The door was opened, and doorctl had not unlocked it.",
}
"""What `status` says of each state of the leaf; so do those below of the clock and of a line."""

CLOCK = {
    "trusted": "The clock is right.",
    "holdover": "The clock was right in this boot and runs on by itself; the door goes by it.",
}
LOCKED = (
    "Until then the door does not stand unlocked in staffed hours, and a card opens it: "
    "doorctl trust-clock, the overview, or a push of the patrons confirms it."
)
DOUBT = {
    "unset": "The clock is not set: cards open only where no hours count.",
    "stepped": "The clock is in doubt: it says {}.",
    "leapt": "The clock is far past the last time known, by one source alone: cards are judged by "
    "it, and nothing is deleted by it until it is confirmed.",
    "settling": "The clock was in doubt until lately: cards are judged by it, and for 6 hours "
    "nothing is deleted by it.",
}
"""What `status` and `purge` say of a clock by which nothing is deleted, by `core.moments`."""
LINES = {
    "connected": "The {} is connected.",
    "lost": "The {} is lost: see its cable and power.",
    None: "There is no {}, or it was not tried yet.",
}


def _sentences(state: dict[str, Any]) -> Iterator[str]:
    if state["running"]:
        yield from _of_door(state)
    if state["epoch"]:
        age_s = state["cache_age_s"]
        age = "of unknown age" if age_s is None else f"{_age(age_s)} old"
        cards = counted(state["patrons"], "card")
        yield f"The register holds {cards}, from push {state['epoch']}, {age}."
    else:
        yield "There is no register of patrons: doorctl patrons load, or a push."
    yield state["problem"] and f"Something is wrong: {state['problem']}."
    yield state["audit_head"] and f"The audit log ends at {state['audit_head']}."
    if state["alarms"]:
        yield "These alarms stand:"
        yield from (f"  {_alarm(**alarm)}" for alarm in state["alarms"])
    else:
        yield "No alarm stands." if state["alarms"] == [] else "Nobody knows which alarms stand."


def _of_door(state: dict[str, Any]) -> Iterator[str]:
    decides = "decides" if state["deciding"] else "does NOT decide: its loop stands still"
    release = state.get("release") or state["version"]
    yield f"The door process runs ({release}, process {state['pid']}) and {decides}."
    if state.get("package") not in {None, release}:
        yield f"But release {state['package']} is installed: journalctl -t doorctl says why."
    if (web_s := state.get("web_age_s")) is not None and web_s >= SILENT_S:
        yield f"The web process has given no sign of life for {_age(web_s)}."
    free = state["released"] and state["door"] == "locked"
    yield DOOR["released" if free else state["door"]]
    yield LINES[state["reader"]].format("card reader")
    yield LINES[state["keypad"]].format("keypad")
    low, high = state["inside_low"], state["inside_high"]
    if state["inside"] is not None:
        span = "" if low == high else f" ({low} to {high})"
        yield f"Inside by the count of the door: {state['inside']}{span}."
    doubt = DOUBT.get(state["clock_doubt"])
    if alone := state.get("clock_unconfirmed"):
        yield f"One source alone says that it is {alone}, and nothing has confirmed it."
        yield LOCKED
        yield doubt or ""
    else:
        yield (doubt or CLOCK[state["clock"]]).format(state["clock_in_doubt"])
    made = state["backup_age_s"]
    yield "No backup is known." if made is None else f"The last backup is {_age(made)} old."
    for name, of in state["good_until"].items():
        yield f"The {name.replace('_', ' ')} is good until {of['date']}."


def _age(age_s: int) -> str:
    for unit, size_s in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if age_s >= 2 * size_s:
            return f"{age_s // size_s} {unit}"
    return f"{age_s} seconds"


def _alarm(kind: str, since: str) -> str:
    from doorctl.core.alarms import kind_of

    known = kind_of(kind)
    at = datetime.fromisoformat(since)
    return f"{known.means} {known.act} ({kind}, since {at:%Y-%m-%d %H:%M})"


@click.command()
@json_option
@with_config
def selftest(config: Config, as_json: bool) -> None:
    """Run a self-test with a made-up patron.

    Nothing is opened and nobody is put on record. The running door tests itself; without it the
    rest is tested. Prints one line a check. Exit 1 if one fails.
    """
    from doorctl.doord.self_test import self_test

    _show(self_test(config), as_json=as_json)


@click.command()
@json_option
@with_config
def doctor(config: Config, as_json: bool) -> None:
    """Say what this machine's own safety lacks: disk, relay, key, swap, clock, watchdog.

    Nothing is changed. Prints one line a check. Exit 1 if something is lacking.
    """
    from doorctl.doord.self_test import doctor as look

    _show(look(config), as_json=as_json)


def _show(findings: tuple[Finding, ...], *, as_json: bool) -> None:
    from msgspec import to_builtins

    from doorctl.doord.self_test import all_well, as_answer

    if as_json:
        print_json(to_builtins(as_answer(findings)))
    else:
        utf8 = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
        marked = sys.stdout.isatty() and utf8
        for finding in findings:
            click.echo(_as_line(finding, marked=marked))
    if not all_well(findings):
        failing = [finding.check for finding in findings if not finding.ok]
        click.echo(
            f"doorctl: {len(failing)} of {len(findings)} fail: {', '.join(failing)}", err=True
        )
        raise SystemExit(1)


def _as_line(finding: Finding, *, marked: bool) -> str:
    mark, colour = MARKS[finding.ok]
    head = click.style(mark, fg=colour) if marked else f"{WORDS[finding.ok]:5}"
    line = f"{head} {finding.check:17} {finding.what}"
    return f"{line} {finding.do}" if finding.do else line


# What a technician does to an installation.


@click.command()
@with_config
def init(config: Config) -> None:
    """Make the installation key and the empty databases of a new branch.

    Overwrites nothing: a key that is there is kept, because branches can share one, and if a
    database is there already, nothing is changed.
    """
    from doorctl.admin.installation import initialise

    made, kept = initialise(config)
    for path in kept:
        click.echo(f"kept {path}")
    for path in made:
        click.echo(f"made {path}")
    click.echo(
        "Keep a copy of the key in a safe place: without it every patron must be sealed again."
    )
    click.echo("Next: doorctl patrons load FEED.ndjson --full")


@click.command("check-config")
@click.argument("file", required=False, type=click.Path(path_type=Path), metavar="[F]")
@config_options
@json_option
def check_config(
    file: Path | None, config_path: Path, overrides: tuple[str, ...], *, as_json: bool
) -> None:
    """Check the configuration file F and say all that is wrong with it, one line a problem.

    Dated hours that are past, and a relay's pin by which a door is open that nobody drives, are
    wrong here alone; no process refuses to start for them. What is wrong with the machine is told
    too, and is no mistake of the file's; and whom SIP2's flags keep out by these settings.
    """
    from doorctl.core.errors import ConfigError

    path = file or config_path
    try:
        config = read_config(path, overrides)
        lacking = _lacking(config, path)
    except ConfigError as err:
        if as_json:
            print_json(_checked(path, problems=[asdict(wrong) for wrong in err.problems]))
            raise SystemExit(1) from None
        raise
    if as_json:
        branch = {"id": config.branch.id, "name": config.branch.name}
        print_json(_checked(path, branch=branch, lacking=lacking, notes=_notes(config)))
        return
    for risk in lacking:
        click.echo(f"{path}: {risk}", err=True)
    for note in _notes(config):
        click.echo(f"{path}: {note}")
    click.echo(f"{path}: good, for branch {config.branch.id} ({config.branch.name})")


def _notes(config: Config) -> list[str]:
    """Return what settings mean that are easily taken for something else."""
    notes = [] if config.policy.require_pin else [WITHOUT_PIN]
    from doorctl.extras.extra import used

    return [
        *notes,
        *(note for extra in used(config) if extra.notes for note in extra.notes(config)),
    ]


WITHOUT_PIN = (
    "policy.require_pin is false: whoever has a card comes in, and whoever has a picture of its "
    "barcode or of a phone's screen, which an imager reads as the card itself"
)


def _checked(path: Path, **found: Any) -> dict[str, Any]:
    good = not found.get("problems")
    empty: dict[str, Any] = {"branch": None, "problems": [], "lacking": [], "notes": []}
    return {"file": str(path), "good": good, **empty, **found}


def _lacking(config: Config, path: Path) -> list[str]:
    """Return what is wrong with the machine; ConfigError for what is refused by a person alone."""
    from doorctl.config.hours import past_exceptions
    from doorctl.config.rules import undriven_locks
    from doorctl.core.errors import ConfigError, StoreError
    from doorctl.core.identity import as_root, unshared
    from doorctl.devices.pins import relay_risks
    from doorctl.lookup.app import App
    from doorctl.lookup.configured import system_clock
    from doorctl.services.hours import hours_now

    # Also by a clock that is not set: nothing but this is refused by it, and a person reads why.
    today = system_clock(config).moment().local.date()
    if problems := (*past_exceptions(config.opening, today), *undriven_locks(config.gpio)):
        raise ConfigError(str(path), problems)
    storage = config.storage
    with as_root():
        shared = tuple(unshared(storage.directory, storage.door_directory))
    more = [UNHEARD] if config.sync is not None and not config.alarms.wanted else []
    if config.sync is None and (leaves := config.controller.lacking):
        more.append(NAMELESS.format(keys=", ".join(f"controller.{leaf}" for leaf in leaves)))
    app = App.of(config)
    with suppress(StoreError):
        # `init` begins it.
        more += [WEEKLESS] * (app.storage.branch_db.exists() and hours_now(app).lacks_week)
    return [*relay_risks(config.gpio.factory), *shared, *more]


UNHEARD = (
    "[alarms]: none is set, so nobody hears when exports stop, a branch refuses or a run fails; "
    "give alarms.email or alarms.webhook"
)
NAMELESS = (
    "{keys}: empty, so the letter of an access request, the notice at the door and the record of "
    "processing don't say who answers for the data; fill [controller]"
)
WEEKLESS = (
    'hours.source: "staff", and no usual week is set, so the door is closed to patrons until it '
    "is: doorctl calendar week mon,tue,wed,thu,fri --self-service 7-22"
)


@click.group()
def keys() -> None:
    """Change a key or certificate: after a theft, or before its last day."""


@keys.command()
@click.option("--stolen", metavar="BRANCH", multiple=True, help="Refuse while BRANCH is a target.")
@click.option("--signing", is_flag=True, help="The key that signs pushes, not the installation's.")
@click.option("--certificate", is_flag=True, help="The certificate of a branch's pages.")
@partial(with_config, sending=True)
def rotate(config: Config, stolen: tuple[str, ...], *, signing: bool, certificate: bool) -> None:
    """Make the next key on the sender, or on a machine that has none.

    The old key is served until every target has the new one; then `doorctl sync push` drops it.
    With --signing, call it again once every branch has the new public key: then it is in use.
    With --certificate, on a branch: the key stays, and nobody has to trust another one.
    """
    from doorctl.admin import keys as rotation

    if signing:
        _rotate_signing(config)
        return
    if certificate:
        _renew(config)
        return
    path = rotation.rotate(config, stolen)
    click.echo(f"made {path}")
    click.echo(
        "Next, on each branch: copy it there, stop doorctl-door and doorctl-web, run "
        "`doorctl keys adopt FILE`, start both; then doorctl sync push here."
    )


def _rotate_signing(config: Config) -> None:
    from doorctl.lookup.configured import system_clock
    from doorctl.wiring.sync import rotate_signing_key

    public, waiting = rotate_signing_key(config, system_clock(config))
    for why in waiting or ():
        click.echo(f"doorctl: it does not believe the new key: {why}", err=True)
    if waiting:
        raise SystemExit(1)
    is_new = waiting is None
    click.echo(f"made {public}" if is_new else "the new signing key is in use")
    adopt_it = f"copy it there, `doorctl keys adopt{'' if is_new else ' --only'} FILE`"
    then = "; then the same command here" * is_new
    click.echo(f"Next, on each branch: {adopt_it}, restart doorctl-web{then}.")


def _renew(config: Config) -> None:
    from doorctl.admin.pairing import renew_certificate

    made = renew_certificate(config)
    click.echo(f"made {made}")
    pin = "copy it to the server, and `doorctl keys adopt FILE` there"
    first = "have it signed" if made.suffix == ".csr" else pin
    click.echo(f"Next: {first}; then here `doorctl keys adopt FILE`, and web serves it in seconds.")


@keys.command()
@click.argument("new", type=click.Path(path_type=Path), metavar="FILE")
@click.option("--only", is_flag=True, help="Of a signing key: the others are dropped.")
@with_config
def adopt(config: Config, new: Path, *, only: bool) -> None:
    """Take the key or certificate FILE into use.

    On a branch, or a branch's certificate on the server. For an installation key stop doorctl-door
    and doorctl-web before: patrons, bans, passes, the door log and the counts of wrong PINs are
    carried over, and FILE is removed at the end. A public key counts beside the old ones.
    Interrupted, run it again.
    """
    from doorctl.admin import keys as rotation
    from doorctl.admin.pairing import adopt_public

    if said := adopt_public(config, new.absolute(), only=only):
        click.echo(said)
        return
    done = rotation.adopt(config, new.absolute())
    click.echo("the new key is in use" if done else "the new key was in use already")
    click.echo("Next: systemctl start doorctl-door doorctl-web")


@click.command()
@click.argument("file", required=False, type=click.Path(path_type=Path), metavar="[FILE]")
@with_app
def backup(app: App, file: Path | None) -> None:
    """Make a backup by [backup] and send it: branch.db, configuration, keys and certificates.

    It is encrypted to backup.recipients; nothing on this machine opens it. Without visits, and
    without patrons, whom the next push brings. doorctl may run meanwhile.

    With FILE: copy branch.db alone, in the clear, to a new file; overwrites nothing. `cp` is no
    backup: it misses what still lies in branch.db-wal. The copy holds bans, passes and accounts:
    keep it where only those get at it who may see them, and no longer than 30 days.
    """
    if file is None:
        from doorctl.admin.backup import make_backup

        made, left_out = make_backup(app)
        where = app.config.backup.destination
        click.echo(f"made {made}" + (f" and sent it to {where}" if where else ""))
        for path in left_out:
            click.echo(f"doorctl: not in it: {path}; copy it yourself", err=True)
        return
    from doorctl.admin.backup import back_up

    also = back_up(app, file.absolute())
    click.echo(f"made {file}, a copy of branch.db")
    click.echo("Copy these too, and keep the keys among them apart from it:")
    for path in (app.config.origin.path.absolute(), *also):
        click.echo(f"  {path}")
    click.echo(
        "Not in it: patrons, whom the next push brings, and the door log, which has to be gone "
        "after its days."
    )


@click.command()
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE")
@click.option(
    "--identity",
    type=click.File("rb"),
    default="-",
    metavar="KEY",
    help="File of the private key that `age-keygen` made; without it, it is read from stdin.",
)
@click.option("--replace", is_flag=True, help="Put it in the place of what is there.")
@config_option
def restore(file: Path, identity: BinaryIO, replace: bool, config_path: Path) -> None:
    """Put the backup FILE back, all of it or nothing; doorctl-door and doorctl-web are stopped.

    The configuration goes to --config, keys and certificates beside it, branch.db where the
    configuration says. Take FILE from where only yours can write: who has the public key can make
    one too.
    """
    from doorctl.admin.backup import opened, unpacked
    from doorctl.admin.restoring import put_back

    if sys.stdin.isatty() and identity.name == "<stdin>":
        key = click.prompt("Private key (AGE-SECRET-KEY-1…)", hide_input=True).encode()
    else:
        key = identity.read()
    manifest, files = unpacked(opened(file, key))
    config = put_back(manifest, files, config_path, replace=replace)
    made = f"{manifest.made:%Y-%m-%d %H:%M} UTC"
    click.echo(f"restored {config.branch.name} as it was at {made}, by doorctl {manifest.version}")
    for name in files:
        click.echo(f"  {name}")
    click.echo(
        f"What was done after {made} is not in it: passes revoked and bans lifted since count "
        "again, and newer ones are gone. Look at doorctl passes list and doorctl bans list; the "
        "sender's next push raises branch_rolled_back, which says how much is missing."
    )
    click.echo(
        "Next: doorctl check-config; copy the units/ among these to /etc/systemd/system; "
        "systemctl enable --now doorctl-door doorctl-web; on the server, doorctl sync push --full"
    )


@click.command()
@click.argument("release", required=False)
@config_options
def upgrade(release: str | None, config_path: Path, overrides: tuple[str, ...]) -> None:
    """Take RELEASE into use, on trial; apt and systemd call this as root.

    The door is stopped for a second or two, and the release has 60 s to be ready and to pass its
    self-test: else the one before runs again, on its own files, and an alarm is sent. Without
    RELEASE, end what was interrupted. Exit 1 if RELEASE is not in use.
    """
    from doorctl.admin.upgrade import Releases
    from doorctl.config import load

    releases = Releases.of_this_program()
    if release is None:
        releases.resume()
    else:
        told = releases.use(release, config_path, lambda: load(config_path, overrides, os.environ))
        click.echo("; ".join((f"release {release} is in use", *told)))


@click.command("support-bundle")
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE")
@click.option("--yes", is_flag=True, help="Write it without asking.")
@with_config
def support_bundle(config: Config, file: Path, yes: bool) -> None:
    """Show what a helper needs to see of this machine, and write it to a new FILE.

    Versions, state, configuration without texts and secrets, the last 500 lines of the journal: of
    each only what is on a list, so that nobody's name or number is in it. Needs root.
    """
    from doorctl.admin.support import bundle
    from doorctl.store.connection import changing, create_private

    text = bundle(config)
    click.echo(text)
    if not yes:
        click.confirm(f"Write this to {file}?", abort=True)
    with changing(file.absolute()):
        create_private(file.absolute(), text.encode())
    click.echo(f"made {file}")


@click.group()
def alarm() -> None:
    """Alarms that leave the house, and those that stand."""


@alarm.command()
@click.argument("kind", default="test")
@click.option("--why", default="", help="A few words of your own; they name nobody.")
@with_config
def send(config: Config, kind: str, why: str) -> None:
    """Send an alarm by every way of [alarms], now. KIND is one of the handbook's, else test.

    It is not held back, however many were sent. Exit 1 if it did not go by one of them.
    """
    from doorctl.core.ports import NotSentError
    from doorctl.services.alarms import send_now

    failed = send_now(config, kind, why)
    if failed:
        raise NotSentError("; ".join(f"{name}: {reason}" for name, reason in failed.items()))
    click.echo(f"{kind}: sent")


@alarm.command()
@click.argument("kind")
@with_app
def end(app: App, kind: str) -> None:
    """End the alarm KIND that stands.

    `doorctl status` has its name. It is put on the audit log. While what it tells of goes on, it is
    back in half a minute. Exit 1 if no such alarm stands.
    """
    from doorctl.services import deeds
    from doorctl.services.branch import change

    change(app, deeds.end_alarm(kind))
    click.echo(f"{kind}: ended")
