"""Commands that say how a branch is, and that tell of an alarm."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from doorctl.cli.options import (
    config_options,
    counted,
    json_option,
    print_json,
    read_config,
    with_app,
    with_config,
)
from doorctl.config import Config

if TYPE_CHECKING:
    from doorctl.lookup.app import App


SOMETHING_STANDS = 3

MARKS = {True: ("✓", "green"), False: ("✗", "red")}

WORDS = {True: "ok", False: "fails"}


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
    if state["audit_head"]:
        entry, _, _digest = state["audit_head"].partition(":")
        yield f"The audit log ends at entry {entry}; doorctl audit verify checks it."
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


@click.group()
def alarm() -> None:
    """Alarms that leave the house, and those that stand."""


@alarm.command()
@click.argument("kind", default="test")
@click.option("--why", default="", help="A few words of your own, without names.")
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
