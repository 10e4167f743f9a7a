"""Every table and column of the three databases, and in words what it says of a person.

Export and erasure are made of this table, so what stands here is exported and erased; a test
compares it with the real schemas and fails for a table or column that does not stand here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType

PATRONS, BRANCH, VISITS = "patrons.db", "branch.db", "visits.db"
"""The databases, by the names of their files."""

CARD, PATRON = "row_key", "patron_ref"
"""The columns by which a row is somebody's: the sealed card, and the library system's number."""


class Shown(Enum):
    """How a value is read."""

    AS_IS = "as it is"
    FLAG = "yes or no"
    TIME = "milliseconds since 1970"
    WEEKDAYS = "a digit for each day, 0 is Monday"
    MINUTE = "minutes after midnight"
    SPANS = "spans of such minutes, apart by a blank"
    OF_STAFF = "names a member of staff: kept from the person, erased with the row"


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table about people: its name in the schema, and in words for that person."""

    name: str
    danish: str
    english: str
    shown: Shown = Shown.AS_IS


@dataclass(frozen=True, slots=True)
class PersonTable:
    """One table about people: its rows are exported and erased.

    Args:
        dated: the column of milliseconds by which its rows grow older than the retention: older
            rows are shown to nobody, and so not exported either.
        held: whether a hold keeps its rows for longer: staff can read what one in force keeps, and
            so it is exported too.
    """

    database: str
    name: str
    danish: str
    english: str
    columns: tuple[Column, ...]
    dated: str | None = None
    held: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all columns."""
        return tuple(column.name for column in self.columns)


_CARD = Column(CARD, "Kortets nummer, forseglet", "The card's number, sealed")
_PATRON = Column(PATRON, "Dit nummer i bibliotekssystemet", "Your number in the library system")
_PIN = Column("pin_check", "Kontrol af pinkoden, forseglet", "The check of the PIN, sealed")
_WEAK = Column("weak_pin", "Pinkoden er let at gætte", "The PIN is easy to guess", Shown.FLAG)
_NUMBER = Column("number", "Sagens nummer", "The number of the case")
_BY = Column("by", "Hvem der skrev det ind", "Who wrote it down", Shown.OF_STAFF)
_TWICE = Column("twice", "Det samme en gang til, mod fejl", "The same once more, against faults")
_BOOT = (
    Column("boot_id", "Mellem hvilke genstarter af anlægget", "Between which restarts"),
    Column("boot_ms", "Millisekunder siden anlæggets start", "Milliseconds since the restart"),
)
_LEARNT = (
    Column("learnt_on", "Den dag bibliotekssystemet blev spurgt", "The day of the question"),
    Column("good_until", "Pinkoden gælder til og med", "The PIN counts until"),
)
_OF_A_PATRON = (
    _CARD,
    _PIN,
    _PATRON,
    Column("resident", "Bor i kommunen", "Lives in the municipality", Shown.FLAG),
    Column("active", "Kortet er i kraft", "The card is in force", Shown.FLAG),
    Column("blocks", "Spærringer, med deres koder", "Blocks, by their codes"),
    Column(
        "restricted",
        "Under begrænset behandling ifølge bibliotekssystemet",
        "Restricted by the library system",
        Shown.FLAG,
    ),
    Column("enter_from", "For ung indtil denne dag", "Too young until this day"),
    Column("valid_until", "Kortet gælder til og med", "The card is valid until"),
    Column("hold_from", "Sat i bero fra", "On hold from"),
    Column("hold_until", "Sat i bero til og med", "On hold until"),
    Column("tags", "Særlige rettigheder", "Special rights"),
    _WEAK,
)

PERSON_TABLES: tuple[PersonTable, ...] = (
    PersonTable(
        PATRONS,
        "patrons",
        "Lånerregistret: det, døren afgør adgang efter",
        "The patron register: what the door decides by",
        (
            *_OF_A_PATRON,
            Column("epoch", "Nummeret på opdateringen, der bragte det", "The push that brought it"),
            _TWICE,
        ),
    ),
    PersonTable(
        PATRONS,
        "learnt",
        "Pinkoder, som bibliotekssystemet har bekræftet ved døren",
        "PINs that the library system confirmed at the door",
        (_CARD, _PIN, *_LEARNT, _WEAK, _TWICE),
    ),
    PersonTable(
        PATRONS,
        "asked",
        "Oplysninger, som bibliotekssystemet gav, da kortet blev brugt ved døren",
        "What the library system said when the card was used at the door",
        (
            *_OF_A_PATRON,
            *_LEARNT,
            Column("asked_until", "Oplysningerne gælder til og med", "It counts until"),
            _TWICE,
        ),
    ),
    PersonTable(
        PATRONS,
        "shut_out",
        "Kort, som en opdatering har lukket ude inden for de sidste syv dage",
        "Cards that an update has shut out within the last seven days",
        (
            _CARD,
            Column("at", "Hvornår", "When"),
            Column("days", "De dage, kortet ville have virket", "The days on which it would work"),
            _PIN,
        ),
    ),
    PersonTable(
        BRANCH,
        "bans",
        "Karantæner",
        "Bans",
        (
            _NUMBER,
            _CARD,
            _PATRON,
            Column("reason", "Begrundelse", "Reason"),
            Column("since_ms", "Fra", "From", Shown.TIME),
            Column("until_ms", "Indtil", "Until", Shown.TIME),
            _BY,
            Column("branches", "Hvilke filialer", "Which branches"),
            Column("note", "Bemærkning i brevet", "Note in the letter"),
            Column("lifted_ms", "Ophævet", "Lifted", Shown.TIME),
            _TWICE,
        ),
    ),
    PersonTable(
        BRANCH,
        "passes",
        "Særlig adgang",
        "Passes",
        (
            _NUMBER,
            _CARD,
            Column("kind", "Slags", "Kind"),
            Column("first_day", "Første dag", "First day"),
            Column("last_day", "Sidste dag", "Last day"),
            Column("weekdays", "Ugedage", "Weekdays", Shown.WEEKDAYS),
            Column("from_minute", "Fra klokken", "From", Shown.MINUTE),
            Column("to_minute", "Til klokken", "To", Shown.MINUTE),
            Column("more_times", "Også disse tider", "At these times too", Shown.SPANS),
            Column("outside_hours", "Også i lukketiden", "Outside hours too", Shown.FLAG),
            Column("needs_pin", "Kræver pinkode", "Asks for a PIN", Shown.FLAG),
            _PIN,
            Column("code_digits", "Kodens antal cifre", "Digits of the code"),
            Column("companions_max", "Højst så mange ledsagere", "At most so many companions"),
            Column("label", "Betegnelse", "Label"),
            Column("revoked_ms", "Taget tilbage", "Revoked", Shown.TIME),
            _TWICE,
        ),
    ),
    PersonTable(
        BRANCH,
        "restrictions",
        "Begrænset behandling, som du har bedt om",
        "Restrictions that you have asked for",
        (
            _NUMBER,
            _CARD,
            _PATRON,
            Column("since_ms", "Siden", "Since", Shown.TIME),
            _BY,
            _TWICE,
        ),
    ),
    PersonTable(
        BRANCH,
        "wrong_pins_elsewhere",
        "Forkerte pinkoder ved andre filialer, slettes efter 30 dage",
        "Wrong PINs at other branches, deleted after 30 days",
        (
            _PATRON,
            Column("wrong", "Hvor mange", "How many"),
            Column("day", "Hvornår det sidst blev meddelt", "When it was told last"),
        ),
    ),
    PersonTable(
        VISITS,
        "attempts",
        "Dørens log: hver gang kortet blev brugt, slettes efter højst 30 dage",
        "The door log: each use of the card, deleted after 30 days at the latest",
        (
            Column("attempt", "Løbenummer", "Number"),
            Column("at_ms", "Hvornår", "When", Shown.TIME),
            Column("clock", "Hvor sikkert uret var", "How certain the clock was"),
            *_BOOT,
            _CARD,
            Column("verdict", "Svar", "Answer"),
            Column("reason", "Grund", "Reason"),
        ),
        dated="at_ms",
        held=True,
    ),
    PersonTable(
        VISITS,
        "throttles",
        "Forkerte pinkoder i træk",
        "Wrong PINs in a row",
        (
            _CARD,
            Column("failures", "Hvor mange", "How many"),
            *_BOOT,
            Column("touched_ms", "Senest", "Last", Shown.TIME),
        ),
        dated="touched_ms",
    ),
    PersonTable(
        VISITS,
        "wrong_pins",
        "Forkerte pinkoder i alt, slettes efter 30 dage, dog senest efter et år uden en rigtig",
        "All wrong PINs, deleted after 30 days, or after a year without a right one",
        (
            Column("attempt", "Løbenummer", "Number"),
            Column("day", "Hvilken dag", "Which day"),
            _CARD,
            _PATRON,
            Column("answered", "En rigtig kom efter", "A right one came after", Shown.FLAG),
        ),
    ),
)
"""The tables about people, in the order in which they are shown."""

BY_OTHERS: Mapping[tuple[str, str], tuple[str, ...]] = MappingProxyType(
    {
        # The mark of an erased person, which names nobody: the person's card finds it; it is
        # exported, and left on purpose until its end.
        (BRANCH, "tombstones"): ("mark", "erasure", "epoch", "erased_ms", "until_ms"),
        # The audit log's own words: exported as looks, erased record by record.
        (BRANCH, "audit"): ("number", "record", "salt", "commitment", "hash"),
    }
)
"""Tables that are exported and erased in a way of their own, with all their columns."""

ABOUT_NOBODY: Mapping[tuple[str, str], tuple[str, ...]] = MappingProxyType(
    {
        (PATRONS, "cache"): (
            *("only", "epoch", "applied_at", "minimum_age", "patrons"),
            *("key_id", "memory_kib", "iterations", "digest", "twice"),
        ),
        (BRANCH, "days"): ("source", "day", "spans", "note", "twice"),
        (BRANCH, "day_sources"): ("source", "known_until", "fetched_ms", "twice"),
        (BRANCH, "week"): ("only", "days", "twice"),
        # `by` is a member of staff, at work.
        (BRANCH, "overrides"): (
            *("number", "mode", "until_ms", "cause", "by", "set_ms", "ended_ms", "twice"),
        ),
        (BRANCH, "settings"): ("key", "value"),
        (BRANCH, "tombstone_salt"): ("only", "salt"),
        # Staff, at work; and failed sign-ins as staff, under a mark that names nobody.
        (BRANCH, "accounts"): (
            *("login", "shown", "role", "disabled_ms", "must_change"),
            *("origin", "subject", "password", "used_ms"),
        ),
        (BRANCH, "second_factors"): ("account", "secret", "step", "recovery"),
        (BRANCH, "sessions"): ("digest", "account", "boot_id", "began_boot_ms", "seen_boot_ms"),
        (BRANCH, "sign_in_failures"): ("mark", "count", "boot_id", "boot_ms"),
        (BRANCH, "sign_in_salt"): ("only", "salt"),
        # Of the house; `acknowledged_by` is a member of staff, at work.
        (BRANCH, "alarms"): (
            *("number", "kind", "source", "first_ms", "last_ms", "count", "why"),
            *("cleared_ms", "acknowledged_by", "acknowledged_ms"),
        ),
        (VISITS, "reader"): ("only", "spent_ms", "boot_id", "boot_ms"),
        (VISITS, "clock"): ("only", "high_water_ms"),
        # Counts, which hold no identifier from the first moment.
        (VISITS, "hourly"): ("hour", "mode", "outcome", "kind", "count"),
        # No card has these row keys: the purge's proof looks for them.
        (VISITS, "canaries"): ("row_key", "at_ms"),
        # A window of time; a visit in it stands in `attempts`.
        (VISITS, "holds"): (
            *("number", "since_ms", "to_ms", "case_number", "reason"),
            *("until_ms", "added_ms", "added_by"),
        ),
    }
)
"""The tables that say nothing of a person who comes to the door, with all their columns."""


def person_tables(database: str) -> tuple[PersonTable, ...]:
    """Return the tables about people in one database."""
    return tuple(table for table in PERSON_TABLES if table.database == database)
