"""What arrives at the branch from elsewhere: pushes, and the word that somebody is erased."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from doorctl.access.patron import Patron
from doorctl.core.errors import DoorctlError, PushError, StoreError
from doorctl.privacy.subject import Subject
from doorctl.store.erasure import erase_patron, erase_rights, erase_visits
from doorctl.sync.guard import Changes
from tests.fakes.shut_out import Noted
from tests.simulation import invariants
from tests.simulation.disk import PATRONS
from tests.simulation.house import GUARD_FLOOR, GUARD_PERCENT
from tests.simulation.oracle import Person
from tests.simulation.pushes import Document, key_of, sealed, take_in

if TYPE_CHECKING:
    from tests.simulation.world import World


def push(world: World, document: Document, expected: str = "") -> None:
    """Bring a document to the branch, and see that it does what it should and no more.

    Args:
        world: whose branch it is.
        document: as it arrives.
        expected: what has to come of it; by the reference if nothing is said.
    """
    assert world.web is not None
    world.counts["pushes"] += 1
    expected = expected or _outcome(world, document)
    before = "" if expected == "applied" else invariants.register_dump(world)
    at = world.clock.moment().local.astimezone(UTC)
    world.unsettled = (document, at) if expected == "applied" else None
    outcome = _take_in(world, document)
    world.unsettled = None
    world.counts[f"push {outcome}"] += 1
    world.note("push", f"{document.kind} {document.epoch} {outcome}")
    if outcome == "applied":
        take_over(world, document, at)
    invariants.pushed(world, expected, outcome, before)


def _take_in(world: World, document: Document) -> str:
    assert world.web is not None
    try:
        chunk_bytes = world.rng.randrange(200, 5000)
        received = take_in(world.web.reception, document, chunk_bytes)
    except PushError as err:
        return type(err).__name__
    except StoreError:
        return "StoreError"
    return "unchanged" if received.unchanged else "applied"


def take_over(world: World, document: Document, at: datetime) -> None:
    """Believe that the branch decides by this register from now on."""
    _, world.week.noted = _judged(world, document, at)
    branch = world.witness.branch
    branch.register = _without_erased(world, document)
    world.held = document
    branch.applied_at = at


def _without_erased(world: World, document: Document) -> dict[str, Person]:
    # Changes don't bring again what the sender believes to be held: who was erased here since, and
    # registered anew just as before, comes with the next snapshot.
    held = world.held.register if world.held and document.kind == "changes" else {}
    here = world.witness.branch.register
    return {
        card: person
        for card, person in document.register.items()
        if world.erased.get(card, 0) < document.epoch and (card in here or held.get(card) != person)
    }


def _judged(world: World, document: Document, at: datetime) -> tuple[Changes, Noted]:
    before, after = world.witness.branch.register, _without_erased(world, document)
    return world.week.judged(_rows(before), _rows(after), at)


def _rows(register: dict[str, Person]) -> dict[bytes, Patron]:
    return {key_of(card): sealed(person).patron for card, person in register.items()}


def _outcome(world: World, document: Document) -> str:
    held = 0 if world.held is None else world.held.epoch
    if world.held is not None and document.epoch == held:
        return "unchanged" if document.data == world.held.data else "PushConflictError"
    if document.epoch < held or (document.kind == "changes" and document.previous != held):
        return "PushOutOfOrderError"
    if PATRONS in world.disk.failing:
        return "StoreError"
    if _shuts_out_too_many(world, document):
        return "PushGuardedError"
    return "StoreError" if world.disk.fails_commit else "applied"


def _shuts_out_too_many(world: World, document: Document) -> bool:
    told, _ = _judged(world, document, world.clock.moment().local.astimezone(UTC))
    floor = min(GUARD_FLOOR, told.held // 2)
    return told.shut_out > floor and told.shut_out * 100 > GUARD_PERCENT * told.held


def erase(world: World, card: str) -> None:
    """Erase a person everywhere, as the data-protection officer does."""
    assert world.web is not None
    held = world.held
    person = Subject(frozenset({key_of(card)}), f"ref-{card}")
    try:
        store = world.door.visits.open()
        moment = world.clock.moment()
        erase_rights(world.web.rights, person, held.epoch if held else 0, "dpo", moment)
        erase_visits(store, person)
        erase_patron(world.web.register, person)
    except DoorctlError:
        world.counts["erasure failed"] += 1
        return
    world.counts["erasures"] += 1
    world.note("erase")
    world.library.register.pop(card, None)
    world.erased[card] = held.epoch if held else 0
    _forget(world, card)
    invariants.erased(world, card)


def _forget(world: World, card: str) -> None:
    branch = world.witness.branch
    branch.register.pop(card, None)
    world.week.noted.pop(key_of(card), None)
    branch.banned.pop(card, None)
    branch.restricted.discard(card)
    branch.guesses.pop(card, None)
    key = key_of(card)
    for number, entry in list(world.witness.entries.items()):
        if entry.row_key == key and entry.reason is not None:
            del world.witness.entries[number]
        elif entry.row_key == key:
            entry.row_key = None
