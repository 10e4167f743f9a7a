"""The evening's table: who comes, what reader and keypad send, how the door must answer."""

from __future__ import annotations

from dataclasses import dataclass

from doorctl.access.patron import Reason
from doorctl.demo.patrons import ANNA, BO, CARL, DORTE, EMIL, FREJA, Role


@dataclass(frozen=True, slots=True)
class Visit:
    """What the reader sends, and then the keys; an unreadable card has no PIN.

    `reason` None: the door must not decide anything. A swipe may be `kept` by the reader while its
    plug is out, and sent once that is in again.
    """

    data: bytes
    pin: str
    reason: Reason | None
    kept: bool = False


@dataclass(frozen=True, slots=True)
class Scene:
    """One scene: who comes (`title`), what they do and why it ends as it does (`story`).

    `at` is the evening's time, as Danes write it; `name` is fixed, for the summary. Texts are in
    English; the catalogue has the Danish. Without `visits` the one of 31 days ago must be gone.
    """

    at: str
    name: str
    title: str
    story: str
    visits: tuple[Visit, ...] = ()

    @property
    def expected(self) -> tuple[Reason, ...]:
        """Every decision of the scene; one more or one less is wrong."""
        return tuple(visit.reason for visit in self.visits if visit.reason is not None)


WORN_STRIPE = b"%DOE^J#\x00 ?;92081#04\xff11?\r"

WRONG_PIN = "4712"


def comes(role: Role) -> Visit:
    """Return what a visitor does and gets with their own PIN."""
    return Visit(role.swipe, role.pin, role.expected)


EVENING = (
    Scene(
        "19.02",
        "granted",
        "Anna comes with her health card",
        "She lives here and knows her PIN. Only the CPR number is read from the card.",
        (comes(ANNA),),
    ),
    Scene(
        "19.15",
        "wrong_pin_then_right",
        "Anna has left her umbrella behind",
        "She mistypes and tries again. Three mistakes are free; then the card has to wait.",
        (Visit(ANNA.swipe, WRONG_PIN, Reason.WRONG_PIN), comes(ANNA)),
    ),
    Scene(
        "19.31",
        "not_resident",
        "Bo comes from the next municipality",
        "He is a patron here, but after hours the door is for residents.",
        (comes(BO),),
    ),
    Scene(
        "19.48",
        "stolen",
        "Somebody comes with Carl's stolen card",
        "The PIN was in the same purse, but the card is reported stolen (block O).",
        (comes(CARL),),
    ),
    Scene(
        "20.05",
        "debt_only",
        "Dorte owes a fee",
        "A debt (block E) stops loans, not the reading room: she gets in.",
        (comes(DORTE),),
    ),
    Scene(
        "20.20",
        "under_age",
        "Emil, aged 9, wants in alone",
        "The limit here is 14 years; each library sets its own.",
        (comes(EMIL),),
    ),
    Scene(
        "20.33",
        "unknown_card",
        "Freja has a card that nobody knows",
        "She sees the same as for a wrong PIN: the door does not tell which cards exist.",
        (comes(FREJA),),
    ),
    Scene(
        "20.47",
        "worn_stripe",
        "A card with a worn stripe",
        "The reader sends gibberish. Only its kind is logged, not what it said.",
        (Visit(WORN_STRIPE, "", Reason.CARD_UNREADABLE),),
    ),
    Scene(
        "21.00",
        "reader_unplugged",
        "Somebody trips over the reader's cable",
        "Back in, the reader hands over a swipe that it kept: an old swipe never opens.",
        (Visit(ANNA.swipe, ANNA.pin, None, kept=True), comes(ANNA)),
    ),
    Scene(
        "22.00",
        "purged",
        "The visit of 31 days ago is forgotten",
        "Visits are kept for 30 days. When the door started, the old one was deleted for good.",
    ),
)
"""The times are the story's; the door's own lines carry the real time, in UTC."""
