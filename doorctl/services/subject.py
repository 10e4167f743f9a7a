"""Builds a person's rights: who it is, what is held, and the way to each database's owner."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace

from doorctl.core.errors import InputError
from doorctl.core.texts import refuse_purpose
from doorctl.lookup.app import App, shown_since
from doorctl.lookup.cards import NumberKeys, keys_of
from doorctl.lookup.numbers import TakenAs, own_sealer
from doorctl.privacy.audit import Action, Deed
from doorctl.privacy.erasure import ALL_GONE, Erasure, Keeper, PartErased
from doorctl.privacy.erasure import erase as erase_everywhere
from doorctl.privacy.export import UNIX_EPOCH, Export, lookups
from doorctl.privacy.subject import Decision, Subject, refuse_ref
from doorctl.privacy.tables import BRANCH, PATRONS, VISITS
from doorctl.privacy.tombstones import Tombstones
from doorctl.rpc.retention import (
    ERASE_PATRON,
    ERASE_RIGHTS,
    ERASE_VISITS,
    Erase,
    SubjectRequest,
)
from doorctl.services import deeds
from doorctl.services.branch import change, note
from doorctl.services.owner import by_the_owner
from doorctl.services.register import numbers_of
from doorctl.store.branch_writer import open_or_create_branch
from doorctl.store.erasure import erase_patron, erase_rights, erase_visits
from doorctl.store.patrons_writer import PatronCacheWriter
from doorctl.store.records import AuditRecords
from doorctl.store.subject import SubjectReader, find, with_cards, with_erased
from doorctl.store.tombstones import StoredErasures
from doorctl.store.visits import VisitStore


@dataclass(frozen=True, slots=True)
class Named:
    """Whom staff mean: a person by what stands on the card, or by the library system's number."""

    typed: str | None = field(default=None, repr=False)
    patron_ref: str | None = field(default=None, repr=False)
    taken_as: TakenAs | None = None


@dataclass(frozen=True, slots=True)
class _Books:
    register: SubjectReader
    branch: SubjectReader
    visits: SubjectReader
    erasures: Tombstones


def export(app: App, named: Named, why: str = "") -> Export:
    """Return all that is held of a person; the look is first noted on the audit log.

    Raises InputError: it is no number, or two patrons'.
    """
    oldest = shown_since(app)
    with _books(app) as books:
        subject, before = _subject(app, named, books)
        rows = tuple(
            row
            for book in (books.register, books.branch, books.visits)
            for row in book.rows(subject, oldest)
        )
    with closing(AuditRecords(app.storage.branch_db)) as audit:
        named_in = audit.about(before.row_keys, before.patron_ref)
        looks = lookups(rows, named_in, audit.entries)
    held = Export(rows, looks, books.erasures.of(subject))
    # Where nothing is held of a person, a look would be all that is.
    cards = () if held.empty else tuple(sorted(subject.row_keys))
    ref = None if held.empty else subject.patron_ref
    note(app, Deed(Action.SUBJECT_EXPORTED, cards, ref, why, {"rows": len(rows)}))
    return held


def erase(app: App, named: Named, why: str = "") -> Erasure:
    """Erase a person in every database, each by its owner; can be done again.

    The audit log says that a person was erased, and why. Raises InputError: it is no number, or two
    patrons', or the reason has no place on record; nothing was changed. StoreError: the person
    can't be found out; nothing was changed.
    """
    refuse_purpose(why, "reason", optional=True)
    with _books(app) as books:
        _, subject = _subject(app, named, books)
        epoch = books.register.epoch()
    keepers = {
        # Only the owner of the audit log has to know why.
        BRANCH: _keeper(ERASE_RIGHTS, _rights_alone, app, why),
        VISITS: _keeper(ERASE_VISITS, _visits_alone, app),
        PATRONS: _keeper(ERASE_PATRON, _patron_alone, app),
    }
    return erase_everywhere(subject, keepers, epoch)


def restrict(app: App, named: Named, why: str = "") -> bool:
    """Keep a person's data and use them for nothing; that and the reason go on record together.

    Returns:
        Whether a card of theirs is known; else it holds once a push brings one.

    Raises InputError: it is no number or two patrons', they are restricted already, or the reason
    has no place on record; nothing was changed.
    """
    subject = _meant(app, named, why)
    change(app, deeds.subject_restrict(subject, app.by, why))
    return bool(subject.row_keys)


def unrestrict(app: App, named: Named, why: str = "") -> None:
    """Use a person's data again; raises as :func:`restrict`, or if they are not restricted."""
    change(app, deeds.subject_unrestrict(_meant(app, named, why), why))


def object_to(app: App, named: Named, why: str) -> bool:
    """Record a person's objection (article 21), and keep the data unused until it is decided.

    `why` is its reference, such as the number of the case; it stands on record and in the letter.
    Returns and raises as :func:`restrict`; a restriction that stands already is no hindrance.
    """
    subject = _meant(app, named, why, reasoned=True)
    change(app, deeds.subject_object(subject, app.by, why))
    return bool(subject.row_keys)


def decide(app: App, named: Named, decision: Decision, why: str) -> None:
    """Decide a person's objection; `why` says on what grounds, and stands in the letter.

    Where it is rejected, the restriction ends that it brought; upheld, that stays. Raises as
    :func:`restrict`, or InputError if there is no objection that is not decided.
    """
    if decision is Decision.PENDING:
        raise InputError("an objection is upheld or rejected")
    change(app, deeds.subject_decide(_meant(app, named, why, reasoned=True), decision, why))


def _keeper(
    question: Erase,
    alone: Callable[[App, SubjectRequest], PartErased],
    app: App,
    why: str = "",
) -> Keeper:
    """Return what asks the owner, and erases here only while the owner is not running."""
    config = app.config
    socket, directory = (
        (config.control.socket, config.storage.door_directory)
        if question.process == "door"
        else (config.web.socket, config.storage.directory)
    )

    def erased(subject: Subject, epoch: int) -> PartErased:
        request = SubjectRequest.about(subject, app.by, epoch, why)
        return by_the_owner(
            lambda: question.ask(socket, request).done,
            lambda: alone(app, request),
            of=directory,
        )

    return erased


def _rights_alone(app: App, request: SubjectRequest) -> PartErased:
    with closing(open_or_create_branch(app.storage.branch_db)) as writer:
        return erase_rights(
            writer, request.subject, request.epoch, request.by, app.clock.moment(), why=request.why
        )


def _visits_alone(app: App, request: SubjectRequest) -> PartErased:
    path = app.storage.visits_db
    if not path.exists():
        return PartErased(0, ALL_GONE)
    with closing(VisitStore(path)) as visits:
        return erase_visits(visits, request.subject)


def _patron_alone(app: App, request: SubjectRequest) -> PartErased:
    path = app.storage.patrons_db
    if not path.exists():
        return PartErased(0, ALL_GONE)
    with closing(PatronCacheWriter(path, own_sealer(app.config).seal)) as writer:
        return erase_patron(writer, request.subject)


def _meant(app: App, named: Named, why: str, *, reasoned: bool = False) -> Subject:
    refuse_purpose(why, "reason", optional=not reasoned)
    with _books(app) as books:
        return _subject(app, named, books)[0]


def _subject(app: App, named: Named, books: _Books) -> tuple[Subject, Subject]:
    """Return a person, and the same with the keys under which the audit log still names a card.

    Use those keys only to find and to erase: a new record of them would tell a thief of the old key
    who the person is.
    """
    readings: tuple[NumberKeys, ...] = ()
    if named.typed is None:
        subject = _by_number(app, named.patron_ref or "", books)
    else:
        readings = numbers_of(app).readings(named.typed, named.taken_as)
        subject = find(list(keys_of(readings)), books.register, books.branch)
    subject = with_erased(subject, books.erasures, (books.branch, books.visits))
    before = (
        key for reading in readings if reading.key in subject.row_keys for key in reading.earlier
    )
    return subject, replace(subject, row_keys=subject.row_keys.union(before))


def _by_number(app: App, patron_ref: str, books: _Books) -> Subject:
    """Return the person of a number; where nothing is held under it, it must be a valid one."""
    subject = with_cards(Subject(frozenset(), patron_ref), books.register, books.branch)
    if not subject.row_keys and not books.branch.rows(subject, UNIX_EPOCH):
        with closing(AuditRecords(app.storage.branch_db)) as audit:
            if not audit.about((), patron_ref):
                refuse_ref(patron_ref)
    return subject


@contextmanager
def _books(app: App) -> Iterator[_Books]:
    with (
        closing(SubjectReader(app.storage.patrons_db)) as register,
        closing(SubjectReader(app.storage.branch_db)) as branch,
        closing(SubjectReader(app.storage.visits_db)) as visits,
        closing(StoredErasures(app.storage.branch_db)) as erasures,
    ):
        yield _Books(register, branch, visits, erasures.tombstones())
