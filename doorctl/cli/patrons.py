"""``doorctl patrons`` and ``doorctl subject``: the register, and what is held of one person."""

from __future__ import annotations

import os
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from shlex import quote

import click

from doorctl.access.patron import SENTENCES
from doorctl.cli.options import (
    IDENTIFIER,
    ISO_TIME,
    advancing,
    counted,
    json_option,
    named,
    of_person,
    print_json,
    typed_unseen,
    why_option,
    with_app,
)
from doorctl.config import Config
from doorctl.core.errors import (
    StoreBusyError,
    StoreError,
)
from doorctl.core.identity import owner_of
from doorctl.extras.extra import feed_rows
from doorctl.lookup.app import App
from doorctl.privacy.erasure import Erasure
from doorctl.privacy.subject import Decision
from doorctl.services import cards as on_cards
from doorctl.services import register
from doorctl.services import subject as rights
from doorctl.services.cards import Explanation
from doorctl.services.subject import Named
from doorctl.store.connection import changing, create_private
from doorctl.store.writer import WriterLock

SOURCE = "Erase the person in the library system too: the next push brings back whom it still has."

DECISIONS = [one.value for one in (Decision.UPHELD, Decision.REJECTED)]

UNKNOWN_REF = "No patron of that number is in the register now; it holds once one is."


@click.group()
def patrons() -> None:
    """Fill the patron cache, ask why a card is refused, let a card try again."""


@patrons.command()
@click.argument("feed", type=click.Path(path_type=Path), metavar="FEED.ndjson")
@click.option("--full", is_flag=True, help="The feed is the whole register: remove everyone else.")
@click.option("--approved-by", metavar="NAME", help="Approve a large removal; NAME is recorded.")
@json_option
@with_app
def load(app: App, feed: Path, full: bool, approved_by: str | None, *, as_json: bool) -> None:
    """Seal the patrons of FEED.ndjson and load them, all or none.

    One JSON object a line, or what [source] says. Without --full the patrons in the feed are added
    or replaced. Not while `doorctl web` runs: stop it for the load, or push.
    """
    refuse_beside_web(app.config)
    # Sealing takes every core for minutes; the patron at the door comes first.
    os.nice(10)
    with click.progressbar(length=1, label="Sealing", show_pos=True, hidden=as_json) as bar:
        loaded = register.load_patrons(
            app,
            feed,
            full=full,
            approved_by=approved_by,
            rows_of=feed_rows(app.config),
            on_progress=advancing(bar),
        )
    with owner_of(feed.parent):
        left = feed.is_file()
    if as_json:
        print_json({**asdict(loaded), "feed_left": left})
        return
    click.echo(
        f"epoch {loaded.epoch}: {counted(loaded.patrons, 'patron')} with "
        f"{counted(loaded.identifiers, 'card')} loaded, {counted(loaded.removed, 'card')} removed"
    )
    if loaded.left_out:
        click.echo(f"{counted(loaded.left_out, 'identifier')} left out: neither CPR nor CARD")
    if left:
        click.echo(f"{feed} holds CPR numbers and PINs in clear: shred -u {quote(str(feed))}")


@patrons.command()
@click.argument("number", type=click.IntRange(min=0))
@why_option
@with_app
def renumber(app: App, number: int, why: str) -> None:
    """Give the register the lower number NUMBER.

    For where no push can follow any more. Take that of the sender's last true push: those between
    could come again. Not while `doorctl web` runs. The next push has to be a snapshot (doorctl sync
    push sends one by itself).
    """
    held = register.renumber(app, number, why)
    click.echo(f"push {held} is push {number} now; the next one may have any number above that")


@patrons.command("explain")
@click.argument("identifier", metavar=IDENTIFIER)
@click.option("--at", type=ISO_TIME, help="At this local time instead of now.")
@why_option
@json_option
@with_app
def explain_card(app: App, identifier: str, at: datetime | None, why: str, as_json: bool) -> None:
    """Say whether the card IDENTIFIER would get in, and why not.

    Prints which checks pass and which fails. Give - to type the identifier unseen, so that it
    stands in no list of processes. It is never printed. The PIN is taken to be right.
    """
    explanation = on_cards.explain(app, typed_unseen(IDENTIFIER, identifier), at, why)
    if as_json:
        print_json(explanation.as_dict())
    else:
        click.echo(_explained(explanation))


@patrons.command()
@click.argument("identifier", metavar=IDENTIFIER)
@with_app
def unlock(app: App, identifier: str) -> None:
    """Forget wrong PINs at IDENTIFIER and the patron's other cards.

    Staff have seen its owner. Have a lost card blocked first. Give - to type the identifier unseen.
    """
    on_cards.unlock(app, typed_unseen(IDENTIFIER, identifier))
    click.echo("the card may try again")


def _explained(explanation: Explanation) -> str:
    reason = explanation.reason
    danish, english = SENTENCES[reason]
    colour = "green" if explanation.granted else "red"
    head = click.style(
        f"{explanation.reason.verdict}: {explanation.reason.value}", fg=colour, bold=True
    )
    checks = [
        f"  {click.style('✓', fg='green')} {finding.check}"
        if finding.refused_with is None
        else f"  {click.style('✗', fg='red')} {finding.check}: {finding.refused_with.value}"
        for finding in explanation.findings
    ]
    return "\n".join([head, f"  {danish} / {english}", *checks, f"  {explanation.source}"])


why_of_deed = click.option("--why", default="", metavar="R", help="The reason, for the audit log.")


@click.group()
def subject() -> None:
    """Show, erase or restrict all that is held of one person, here at this branch.

    Give what stands on the card, - to type it unseen, or --patron-ref.
    """


@subject.command()
@named
@json_option
@click.option(
    "--output",
    "--page",
    "file",
    type=click.Path(path_type=Path, allow_dash=True),
    metavar="FILE.html",
    help="The new file, or - for stdout; else oplysninger-DATE-TIME.html, here.",
)
@click.option(
    "--language",
    type=click.Choice(["da", "en"]),
    default="da",
    show_default=True,
    help="The letter's first language.",
)
@click.option("--objection", is_flag=True, help="The letter about the last objection instead.")
@why_of_deed
@of_person
def export(
    app: App,
    who: Named,
    why: str,
    *,
    as_json: bool,
    file: Path | None,
    language: str,
    objection: bool,
) -> None:
    """Write a letter with all that is held of a person.

    It goes into a new file that its owner alone can read, and whose name names nobody. With --json
    it goes to stdout, for scripts.
    """
    if as_json and file is not None:
        raise click.UsageError("give --json or --output")
    held = rights.export(app, who, why)
    config, local = app.config, app.clock.moment().local
    zone = local.tzinfo
    assert zone is not None  # noqa: S101 - a moment is aware
    if as_json:
        about = {"branch": config.branch.id, "at": local}
        print_json({**about, **held.as_dict(zone)}, ensure_ascii=False)
        return
    # Starlette and Jinja come with these; no other command here needs them.
    from doorctl.web.rendering import Templates
    from doorctl.web.staff.letter import letter, objection_letter

    page, made = (
        ("objection_letter.html", objection_letter)
        if objection
        else ("subject_letter.html", letter)
    )
    text = Templates().render(page, made(held, app, local, language))
    if file == Path("-"):
        click.echo(text, nl=False)
        return
    file = (file or Path(f"oplysninger-{local:%Y-%m-%d-%H%M%S}.html")).absolute()
    with changing(file):
        create_private(file, text.encode())
    looks = counted(len(held.lookups), "look")
    click.echo(f"{file}: {counted(len(held.rows), 'row')} and {looks} by staff")
    click.echo("Hand it over, and delete the file: it is about one person.")


@subject.command()
@named
@why_of_deed
@of_person
def erase(app: App, who: Named, why: str) -> None:
    """Erase all that is held of a person.

    No older push brings it back. What is left after a failure can be erased by doing it again.
    """
    done = rights.erase(app, who, why)
    if done.left or done.held:
        raise StoreError(_left(done))
    click.echo(f"{counted(done.rows, 'row')} erased; no byte of them is left in the databases")
    click.echo(SOURCE)


@subject.command()
@named
@why_of_deed
@of_person
def restrict(app: App, who: Named, why: str) -> None:
    """Keep a person's data, unused: the door refuses."""
    known = rights.restrict(app, who, why)
    click.echo("The person's data are restricted: kept, and used for nothing until it is ended.")
    if not known:
        click.echo(UNKNOWN_REF)


@subject.command()
@named
@why_of_deed
@of_person
def unrestrict(app: App, who: Named, why: str) -> None:
    """End a restriction; the door uses the person's data again."""
    rights.unrestrict(app, who, why)
    click.echo("The restriction is ended.")


@subject.command("object")
@named
@click.option("--why", required=True, metavar="R", help="Its reference, such as the case's number.")
@of_person
def object_to(app: App, who: Named, why: str) -> None:
    """Record that a person objects (article 21), and restrict.

    Then give the person the letter: doorctl subject export --objection.
    """
    known = rights.object_to(app, who, why)
    click.echo("The objection is on record; the data are kept unused until it is decided.")
    if not known:
        click.echo(UNKNOWN_REF)


@subject.command()
@named
@click.option("--decision", required=True, type=click.Choice(DECISIONS), help="What came of it.")
@click.option("--why", required=True, metavar="R", help="On what grounds; it is in the letter.")
@of_person
def decide(app: App, who: Named, decision: str, why: str) -> None:
    """Decide a person's objection. Rejected, the restriction ends that it brought."""
    rights.decide(app, who, Decision(decision), why)
    if Decision(decision) is Decision.REJECTED:
        click.echo("The objection is rejected; the restriction that it brought is ended.")
    else:
        click.echo("The objection is upheld; the data stay unused. Now erase them (article 17).")
        click.echo(SOURCE)


def _left(done: Erasure) -> str:
    parts = [f"{database}: {why}" for database, why in done.left.items()]
    parts += [
        f"visit {visit.attempt} stays for case {visit.case} until {visit.until:%Y-%m-%d}, "
        "then a purge takes it"
        for visit in done.held
    ]
    again = " Erase again." if done.left else f" {SOURCE}"
    return f"{counted(done.rows, 'row')} erased, but not all. {'; '.join(parts)}.{again}"


def refuse_beside_web(config: Config) -> None:
    """Refuse while another process writes the patron cache: sealing a town takes half an hour.

    It holds no lock, so a process that starts meanwhile still wins. It makes no file. Raises
    StoreBusyError, which says what to do, or StoreError where the lock can't be read.
    """
    database = config.storage.patrons_db
    if not database.with_name(f"{database.name}.lock").exists():
        return
    try:
        WriterLock(database).close()
    except StoreBusyError:
        raise StoreBusyError(
            f"another doorctl process is writing {database}: stop it for the load "
            "(systemctl stop doorctl-web), or push instead (doorctl sync push)"
        ) from None
