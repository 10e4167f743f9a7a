"""The evening as a table: who comes, what the reader and the keypad send, how the door must answer.

Playing it is in :mod:`doorctl.demo.evening`; this module only holds data.
"""

from __future__ import annotations

from dataclasses import dataclass

from doorctl.access.patron import Reason
from doorctl.demo.patrons import CAST


@dataclass(frozen=True, slots=True)
class Words:
    """One text in both languages."""

    da: str
    en: str


@dataclass(frozen=True, slots=True)
class Swipe:
    """A card goes through the reader; the door then asks for a PIN."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Smear:
    """The reader sends bytes that are no card; the door asks for no PIN."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Type:
    """Digits on the keypad, one at a time."""

    pin: str


@dataclass(frozen=True, slots=True)
class Answer:
    """The door must decide with this reason."""

    reason: Reason


@dataclass(frozen=True, slots=True)
class Silence:
    """The door must not decide anything."""


@dataclass(frozen=True, slots=True)
class Pull:
    """The reader's plug comes out."""


@dataclass(frozen=True, slots=True)
class PutBack:
    """The plug goes in again; the reader sends what it stored meanwhile."""

    stored: bytes


@dataclass(frozen=True, slots=True)
class Forget:
    """The visit of 31 days ago must be gone."""


Act = Swipe | Smear | Type | Answer | Silence | Pull | PutBack | Forget


@dataclass(frozen=True, slots=True)
class Scene:
    """One scene: who comes (`title`), what they do and why it ends as it does (`story`).

    `at` is the evening's time, as Danes write it; `name` is fixed, for the summary.
    """

    at: str
    name: str
    title: Words
    story: Words
    acts: tuple[Act, ...]

    @property
    def expected(self) -> tuple[Reason, ...]:
        """Every decision of the scene; one more or one less is wrong."""
        return tuple(act.reason for act in self.acts if isinstance(act, Answer))


ANNA, BO, CARL, DORTE, EMIL, FREJA = CAST

WORN_STRIPE = b"%DOE^J#\x00 ?;92081#04\xff11?\r"
WRONG_PIN = "4712"

EVENING = (
    Scene(
        "19.02",
        "granted",
        Words("Anna kommer med sit sundhedskort", "Anna comes with her health card"),
        Words(
            "Hun bor i kommunen, er ikke spærret og kan sin pinkode. Kun CPR-nummeret læses fra "
            "kortet; navn og adresse bliver smidt væk ulæst.",
            "She lives here, is not blocked and knows her PIN. Only the CPR number is read from "
            "the card; name and address are dropped unread.",
        ),
        (Swipe(ANNA.swipe), Type(ANNA.pin), Answer(Reason.OK)),
    ),
    Scene(
        "19.15",
        "wrong_pin_then_right",
        Words("Anna har glemt sin paraply", "Anna has left her umbrella behind"),
        Words(
            "Hun taster forkert, stryger kortet igen og rammer rigtigt. Tre fejl er gratis; "
            "derefter holder kortet pause, længere for hver gang.",
            "She mistypes, swipes again and gets it right. Three mistakes are free; after "
            "that the card has to wait, longer each time.",
        ),
        (
            Swipe(ANNA.swipe),
            Type(WRONG_PIN),
            Answer(Reason.WRONG_PIN),
            Swipe(ANNA.swipe),
            Type(ANNA.pin),
            Answer(Reason.OK),
        ),
    ),
    Scene(
        "19.31",
        "not_resident",
        Words("Bo kommer fra nabokommunen", "Bo comes from the next municipality"),
        Words(
            "Han er låner her, og pinkoden er rigtig, men om aftenen er døren for kommunens egne.",
            "He is a patron and his PIN is right, but after hours the door is for residents.",
        ),
        (Swipe(BO.swipe), Type(BO.pin), Answer(BO.expected)),
    ),
    Scene(
        "19.48",
        "stolen",
        Words("Nogen kommer med Carls stjålne kort", "Somebody comes with Carl's stolen card"),
        Words(
            "Pinkoden lå i samme pung. Carl har meldt kortet stjålet (spærring O), så den rigtige "
            "pinkode hjælper ikke.",
            "The PIN was in the same purse. Carl has reported the card (block O), so that even "
            "the right PIN is no use.",
        ),
        (Swipe(CARL.swipe), Type(CARL.pin), Answer(CARL.expected)),
    ),
    Scene(
        "20.05",
        "debt_only",
        Words("Dorte skylder et gebyr", "Dorte owes a fee"),
        Words(
            "Hun bruger bibliotekets plastikkort. Gæld (spærring E) lukker for lån, ikke for "
            "læsesalen: hun kommer ind.",
            "She uses the library's plastic card. A debt (block E) stops loans, not the reading "
            "room: she gets in.",
        ),
        (Swipe(DORTE.swipe), Type(DORTE.pin), Answer(DORTE.expected)),
    ),
    Scene(
        "20.20",
        "under_age",
        Words(f"Emil på {EMIL.age} år vil ind alene", f"Emil, aged {EMIL.age}, wants in alone"),
        Words(
            "Grænsen er 14 år her; hvert bibliotek sætter sin egen.",
            "The limit here is 14 years; each library sets its own.",
        ),
        (Swipe(EMIL.swipe), Type(EMIL.pin), Answer(EMIL.expected)),
    ),
    Scene(
        "20.33",
        "unknown_card",
        Words("Freja har et kort, ingen kender", "Freja has a card that nobody knows"),
        Words(
            "Hun bliver spurgt om pinkode som alle andre og ser samme røde lampe som ved en "
            "forkert kode: døren røber ikke, hvilke kort der findes.",
            "She is asked for a PIN like everybody else and sees the same red lamp as for a "
            "wrong one: the door does not tell which cards exist.",
        ),
        (Swipe(FREJA.swipe), Type(FREJA.pin), Answer(FREJA.expected)),
    ),
    Scene(
        "20.47",
        "worn_stripe",
        Words("Et kort med slidt magnetstribe", "A card with a worn stripe"),
        Words(
            "Læseren sender volapyk. Rød lampe; kun volapykkens art kommer i loggen, ikke tegnene.",
            "The reader sends gibberish. Red lamp; only the kind of gibberish is logged, not "
            "what it said.",
        ),
        (Smear(WORN_STRIPE), Answer(Reason.CARD_UNREADABLE)),
    ),
    Scene(
        "21.00",
        "reader_unplugged",
        Words("Nogen snubler over læserens ledning", "Somebody trips over the reader's cable"),
        Words(
            "Anna stryger, mens stikket er ude. Læseren gemmer strøget og afleverer det, når "
            "stikket sættes i, men døren kaster det væk: et gammelt strøg åbner aldrig. Pinkoden "
            "alene gør intet. Næste strøg virker.",
            "Anna swipes while the plug is out. The reader keeps the swipe and hands it over when "
            "it is back, but the door drops it: an old swipe never opens. The PIN alone does "
            "nothing. The next swipe works.",
        ),
        (
            Pull(),
            PutBack(ANNA.swipe),
            Type(ANNA.pin),
            Silence(),
            Swipe(ANNA.swipe),
            Type(ANNA.pin),
            Answer(Reason.OK),
        ),
    ),
    Scene(
        "22.00",
        "purged",
        Words("Besøget for 31 dage siden er glemt", "The visit of 31 days ago is forgotten"),
        Words(
            "Besøg gemmes i 30 dage. Før aftenen lå der et gammelt besøg i databasen; da døren "
            "startede, blev det slettet for alvor.",
            "Visits are kept for 30 days. Before the evening an old visit was in the database; "
            "when the door started, it was deleted for good.",
        ),
        (Forget(),),
    ),
)
"""The times are the story's; the door's own lines carry the real time, in UTC."""
