"""``doorctl sync``: on the library's server, bring every branch's patrons up to date."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import click

from doorctl.admin import pairing
from doorctl.admin.keys import keys_in_use
from doorctl.cli.options import (
    DEFAULT_CONFIG,
    advancing,
    config_options,
    counted,
    json_option,
    picked,
    print_json,
    read_config,
    typed_unseen,
    with_config,
)
from doorctl.config import Config
from doorctl.core.errors import DoorctlError, StoreBusyError
from doorctl.extras.extra import feed_rows
from doorctl.lookup.configured import system_clock
from doorctl.sync.delivery import Delivery, Result, failed
from doorctl.sync.feed import read_rows
from doorctl.sync.look import in_words, look
from doorctl.sync.push import Refreshed
from doorctl.sync.sender_alarms import MOST_LISTED
from doorctl.wiring import outbox, set_aside, sync_alarms, sync_keys
from doorctl.wiring import sync as sender
from doorctl.wiring.exports import fetched_file

FILE = click.Path(path_type=Path, dir_okay=False)

KINDS = {True: "snapshot", False: "changes"}

out_option = click.option(
    "--out", type=FILE, required=True, metavar="FILE", help="The file to write, on a stick say."
)

TRY_AGAIN = 75
"""The exit code (``EX_TEMPFAIL`` of sysexits.h) after which systemd begins a push once more."""


@contextmanager
def _passing() -> Iterator[None]:
    """End with another exit code where what kept a push back passes by itself."""
    try:
        yield
    except DoorctlError as err:
        if not isinstance(err, StoreBusyError | ConnectionError):
            raise
        click.echo(f"doorctl: {err}", err=True)
        raise SystemExit(TRY_AGAIN) from None


@click.group()
def sync() -> None:
    """Push patrons from the library system to every branch; run on the library's server."""


@sync.command()
@config_options
def init(config_path: Path, overrides: tuple[str, ...]) -> None:
    """Make what a sender needs: two keys and an outbox.

    The key pair that signs pushes, and the installation key if it is missing. Where --config
    names a file that is not there, the commented example is written first.
    Overwrites nothing: if the signing key or the outbox is there already, nothing is changed.
    """
    if str(config_path) != DEFAULT_CONFIG and not config_path.exists():
        from doorctl.config.shipped import shipped
        from doorctl.store.keys import put

        text, _, _ = shipped("sync.toml").read_text(encoding="utf-8").partition("[[sync.targets]]")
        put(config_path, text.encode(), 0o644)
        click.echo(f"wrote {config_path}: fill in sync.feed and [alarms.email]")
    for path in sync_keys.initialise(read_config(config_path, overrides, sending=True)):
        click.echo(f"made {path}")
    click.echo("Next, for each branch: doorctl pair begin there, doorctl sync pair here.")


@sync.command("pair")
@click.argument("file", type=FILE)
@out_option
@partial(with_config, sending=True)
def pair_branch(config: Config, file: Path, out: Path) -> None:
    """Answer a branch's request, FILE, and enter the branch.

    It goes into the sender's configuration. Asks for the code that doorctl pair begin has shown
    there, or reads it from stdin. The branch gets the installation key, which all branches of this
    file have, and trusts our signing key.
    """
    code = typed_unseen("The code that the branch shows")
    key, now = keys_in_use(config)[0], _now(config)
    request = pairing.answer(config, file, code, key=key, out=out, now=now)
    click.echo(
        f"{request.branch} is entered in {config.origin.path}. Carry {out} there: doorctl pair "
        "finish. Then here doorctl sync push, once by hand, and "
        "systemctl enable --now doorctl-sync.timer doorctl-sync-full.timer"
    )


@sync.command("look")
@click.argument("file", type=FILE, required=False)
@json_option
@partial(with_config, sending=True)
def look_at(config: Config, file: Path | None, *, as_json: bool) -> None:
    """Show what the rows of FILE would become; send nothing.

    By [source], if that is there. Without FILE the export is fetched as [source.fetch] says, and
    deleted again. Nothing is kept, and no number, name or PIN is shown. Exit 1 if
    the file can't be read, or none of its rows.
    """
    policy, clock = config.policy, system_clock(config)
    on = clock.moment().latest_known.date()
    with fetched_file(config, clock) if file is None else nullcontext(file) as path:
        rows = read_rows(path, pin_length=policy.pin_length, rows_of=feed_rows(config))
        # While the file is there: many rows are read again.
        seen = look(rows, on=on, policy=policy)
    if as_json:
        print_json(asdict(seen))
    else:
        click.echo("\n".join(in_words(seen)))
    if not rows.right:
        raise SystemExit(1)


@click.group()
def pair() -> None:
    """Give this branch the keys of the library's server, by a code that lasts an hour.

    Two files go between them, on a stick or over any network: they are sealed. First begin here,
    then doorctl sync pair on the server, then finish here.
    """


@pair.command()
@out_option
@with_config
def begin(config: Config, out: Path) -> None:
    """Write this branch's request and show its code.

    An earlier request ends. Say the code to the person at the server, and never send it along
    with the file.
    """
    code = pairing.begin(config, out, _now(config))
    click.echo(f"For the server: {out}\nThe code, for an hour: {code}")


@pair.command()
@click.argument("file", type=FILE)
@click.option("--replace", "replaces", is_flag=True, help="In place of other keys here, if any.")
@with_config
def finish(config: Config, file: Path, *, replaces: bool) -> None:
    """Take the answer of the library's server, FILE.

    It brings the installation key, and whose pushes are taken. Keys that are in use here are
    changed with --replace only; bans and passes need theirs.
    """
    taken = pairing.finish(config, file, _now(config), replaces=replaces)
    key = "the server's installation key" if taken else "the installation key that was here"
    click.echo(
        f"Paired, with {key}. Next: doorctl init if it is a new branch, then "
        "systemctl restart doorctl-door doorctl-web. Delete both files."
    )


@sync.command()
@click.option("--full", is_flag=True, help="Send every branch all rows, as once a night.")
@click.option("--dry-run", is_flag=True, help="Seal, have each branch check it, change nothing.")
@click.option(
    "--approved-by",
    metavar="NAME",
    help="Somebody looked at it: a branch takes it however many patrons it shuts out.",
)
@click.option(
    "--audit-confirmed",
    metavar="BRANCH",
    multiple=True,
    help="Somebody looked why its audit log is another one: say so no more.",
)
@json_option
@partial(with_config, sending=True)
@_passing()
def push(
    config: Config,
    *,
    full: bool,
    dry_run: bool,
    approved_by: str | None,
    audit_confirmed: tuple[str, ...],
    as_json: bool,
) -> None:
    """Push what has changed in the library system.

    Patrons are sealed here. Each branch gets the changes since what it holds, or all rows where
    that is not known. Exit 1 where a branch refuses, where none is up to date, or where an audit
    log that was rolled back or written anew waits to be confirmed. A branch that is away catches up
    in a later run: exit 1 only once it has been behind for sync.branch_behind_h, and in a dry run.
    Exit 75 where the same call may do in minutes: another run is at work, or no answer came.
    """
    report, terminal = _Report(config, dry_run, as_json), sys.stderr.isatty()
    with click.progressbar(
        length=1, label="Sealing", show_pos=True, file=sys.stderr, hidden=not terminal
    ) as bar:
        refreshed, deliveries = sender.push(
            config,
            outbox.Wishes(full, dry_run, approved_by, audit_confirmed),
            system_clock(config),
            on_progress=advancing(bar),
            on_odd=_odd,
            on_refreshed=partial(report.refreshed, bar),
            on_delivery=report.delivered,
            on_unsent=_unsent,
        )
    waiting = None if dry_run else sync_keys.end_rotation(config, deliveries)
    if waiting is not None:
        click.echo(_rotating(waiting), err=True)
    rewritten = [_rewritten(each) for each in deliveries if each.audit_kept is not None]
    for line in [*_behind(config, deliveries, dry_run=dry_run), *rewritten]:
        click.echo(line, err=True)
    if as_json:
        ages = sender.age_limits(config)
        answer = _as_dict(refreshed, deliveries, ages, dry_run=dry_run)
        print_json({**answer, "old_key_for": waiting})
    if report.failed is not None:
        raise report.failed
    if rewritten or _fails(deliveries, dry_run=dry_run):
        raise SystemExit(1)


@sync.command()
@partial(with_config, sending=True)
def tell_failure(config: Config) -> None:
    """Tell that the last push has failed.

    By [alarms], for systemd's OnFailure=. Once, then daily, and only where the push could not tell
    it itself. The next push that goes well tells its end.
    """
    sync_alarms.tell_failure(config, system_clock(config), on_unsent=_unsent)


@dataclass
class _Report:
    """Prints what a push finds and does, as it goes on; `failed` says why a line was not printed.

    The push matters more than its report.
    """

    config: Config
    dry_run: bool
    as_json: bool
    failed: OSError | None = None

    def say(self, line: str, *, err: bool = False) -> None:
        if err or not self.as_json:
            try:
                click.echo(line, err=err)
            except OSError as error:
                self.failed = error

    def refreshed(self, bar: Any, result: Refreshed) -> None:
        bar.finish()
        bar.render_finish()
        self.say(_summary(result))
        if result.set_aside:
            self.say(_set_aside(self.config, result, dry_run=self.dry_run), err=True)

    def delivered(self, delivery: Delivery) -> None:
        age, own = sender.age_limits(self.config)[delivery.branch], delivery.minimum_age
        self.say(_delivered(delivery, age, dry_run=self.dry_run))
        if own is not None and own < age:
            self.say(
                f"doorctl: {delivery.branch} lets in from {own} years, but its rows say from "
                f"{age}: those in between stay out; see its minimum_age in sync.targets",
                err=True,
            )


def _now(config: Config) -> datetime:
    return system_clock(config).moment().local.astimezone(UTC)


def _fails(deliveries: Sequence[Delivery], *, dry_run: bool) -> bool:
    # What is tried by hand is to work everywhere.
    return failed(deliveries) or (dry_run and not all(each.up_to_date for each in deliveries))


def _behind(config: Config, deliveries: Sequence[Delivery], *, dry_run: bool) -> list[str]:
    behind = sorted(delivery.branch for delivery in deliveries if not delivery.up_to_date)
    if not behind:
        return []
    of = f"{len(behind)} of {len(deliveries)} branches ({', '.join(behind)})"
    line = f"doorctl: not up to date: {of}"
    if _fails(deliveries, dry_run=dry_run) or config.sync is None:
        return [line]
    since = min(each.behind_since for each in deliveries if each.behind_since is not None)
    hours = config.sync.branch_behind_h
    again = f"each run tries again and fails once a branch has been behind for {hours:g} hours"
    return [f"{line}, the first since {since:%Y-%m-%d %H:%M}; {again}"]


def _odd(jumped: list[str]) -> None:
    for words in jumped:
        click.echo(f"doorctl: export_odd: {words}", err=True)


def _unsent(why: str) -> None:
    click.echo(f"doorctl: alarm_not_sent: {why}", err=True)


def _summary(refreshed: Refreshed) -> str:
    line = (
        f"epoch {refreshed.epoch}: {counted(refreshed.patrons, 'patron')} in the register, "
        f"{refreshed.changed} sealed again, {refreshed.removed} taken out"
    )
    if not refreshed.is_read:
        line += "; the export has no news"
    if refreshed.returned:
        line += f", {refreshed.returned} came back as they were"
    if not refreshed.left_out:
        return line
    return f"{line}\n{counted(refreshed.left_out, 'identifier')} left out: neither CPR nor CARD"


def _set_aside(config: Config, refreshed: Refreshed, *, dry_run: bool) -> str:
    rows = counted(len(refreshed.set_aside), "wrong row")
    if dry_run:
        lines = set_aside.listed(refreshed, config.alarms.language)
        more = f"and {len(lines) - MOST_LISTED} more\n" if len(lines) > MOST_LISTED else ""
        text = "".join([*lines[:MOST_LISTED], more])
        return f"doorctl: rows_set_aside: {rows} would be set aside:\n{text}".rstrip()
    where = f", listed in {set_aside.set_aside_file(config.sync)}" if config.sync else ""
    return f"doorctl: rows_set_aside: {rows} set aside{where}; have that mended and export again"


def _delivered(delivery: Delivery, minimum_age: int, *, dry_run: bool) -> str:
    limit = f" (from {minimum_age} years)" if dry_run else ""
    name = click.style(delivery.branch, bold=True) + limit
    if delivery.result is Result.FAILED:
        failed = "would not be up to date" if dry_run else "not up to date"
        return f"{name}: {click.style(failed, fg='red')}: {delivery.why}"
    up_to_date = click.style(f"up to date at epoch {delivery.epoch}", fg="green")
    # Kept here, it shows when the branch's chain was written anew.
    anchor = f"\n  its audit log ended at {delivery.audit_head}" if delivery.audit_head else ""
    if delivery.result is Result.UNCHANGED:
        return f"{name}: {up_to_date}; there was nothing to send{anchor}"
    volume = delivery.volume
    what = "all rows" if delivery.snapshot else "what has changed"
    gone = counted(volume.removed, "patron")
    amount = f"{what}: {counted(volume.cards, 'card')}, {gone} taken out"
    if dry_run:
        return f"{name}: would be sent {amount}, as epoch {delivery.epoch}{anchor}"
    return f"{name}: {up_to_date}; it was sent {amount}{anchor}"


def _rewritten(delivery: Delivery) -> str:
    return (
        f"doorctl: audit_rewritten: the audit log of {delivery.branch} ended at "
        f"{delivery.audit_kept} before, and was found without that: it was rolled back or written "
        "anew. If nobody restored a backup there, somebody hides what was done: compare "
        f"doorctl audit verify --anchor {delivery.audit_kept} on the branch. Every push says so "
        f"until somebody has: doorctl sync push --audit-confirmed {delivery.branch}"
    )


def _rotating(waiting: list[str]) -> str:
    if waiting:
        return f"doorctl: the old installation key is still served, for {', '.join(waiting)}"
    return "doorctl: every branch has the new installation key; the old one was dropped"


def _as_dict(
    refreshed: Refreshed, deliveries: list[Delivery], ages: dict[str, int], *, dry_run: bool
) -> dict[str, Any]:
    return {
        "dry_run": dry_run,
        **picked(refreshed, "epoch", "patrons", "changed", "returned", "removed", "left_out"),
        "set_aside": len(refreshed.set_aside),
        "branches": [
            {
                "branch": delivery.branch,
                "minimum_age": ages[delivery.branch],
                "minimum_age_there": delivery.minimum_age,
                "result": delivery.result,
                "kind": KINDS[delivery.snapshot] if delivery.result is Result.SENT else None,
                **picked(delivery.volume, "cards", "removed"),
                **picked(delivery, "epoch", "why", "late", "audit_head", "audit_kept"),
            }
            for delivery in deliveries
        ],
    }
