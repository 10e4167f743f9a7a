"""What imagers send of a phone's screen and of paper, and how it reads: for every kind of line."""

from __future__ import annotations

from dataclasses import dataclass

from doorctl.core.readings import CardRead, Reading
from tests.cards.samples import BAD_DATE, GARBAGE, HEALTH_CARD, PLASTIC_CARD, TRACK_2
from tests.fakes.cards import cpr, plastic

CPR = CardRead((cpr("0101701234"),))
EITHER = CardRead((plastic("0101701234"), cpr("0101701234")))
"""Ten digits without a mark may be a library card's number too."""


@dataclass(frozen=True, slots=True)
class Output:
    """One reading's text without its suffix; what the door makes of it; what the code was."""

    text: str
    read: Reading
    code: str

    def __str__(self) -> str:
        """Name it, for a test's name."""
        return self.code


OUTPUTS = (
    Output("3000001234", PLASTIC_CARD, "Code 128"),
    Output("]C03000001234", PLASTIC_CARD, "Code 128, AIM"),
    Output("*3000001234*", PLASTIC_CARD, "Code 39 with its stars"),
    Output("]A03000001234", PLASTIC_CARD, "Code 39, AIM"),
    Output("]A1*3000001234*", PLASTIC_CARD, "Code 39, AIM and stars"),
    Output("]A4ab-1234", CardRead((plastic("ab-1234"),)), "Code 39 of all ASCII, AIM"),
    Output("]I03000001234", PLASTIC_CARD, "Interleaved 2 of 5, AIM"),
    Output(
        "]I1030000012342", CardRead((plastic("030000012342"),)), "Interleaved 2 of 5, check digit"
    ),
    Output(
        "A3000001234B",
        CardRead((plastic("A3000001234B"), plastic("3000001234"))),
        "Codabar with its letters",
    ),
    Output("]F03000001234", PLASTIC_CARD, "Codabar, AIM"),
    Output("]Q13000001234", PLASTIC_CARD, "QR, AIM"),
    Output("]d13000001234", PLASTIC_CARD, "Data Matrix, AIM"),
    Output("]z03000001234", PLASTIC_CARD, "Aztec, AIM"),
    Output("]L03000001234", PLASTIC_CARD, "PDF417, AIM"),
    Output("]C0 3000001234 ", PLASTIC_CARD, "Code 128, AIM, padded"),
    Output("  3000001234 ", PLASTIC_CARD, "Code 128, padded"),
    Output("]C0AB-12-cd", CardRead((plastic("AB-12-cd"),)), "Code 128, letters of both cases"),
    Output("0101701234", EITHER, "CPR number"),
    Output("]C00101701234", EITHER, "CPR number, AIM"),
    Output("010170-1234", CPR, "CPR number with a hyphen"),
    Output("]Q1010170-1234", CPR, "CPR number with a hyphen, QR"),
    Output("*010170-1234*", CPR, "CPR number with a hyphen, Code 39"),
    Output("010170 1234", CPR, "CPR number with a blank"),
    Output("]C0010170 1234", CPR, "CPR number with a blank, AIM"),
    Output("320170-1234", BAD_DATE, "CPR number without a day"),
    Output(f";{TRACK_2.decode()}?", HEALTH_CARD, "track 2 of a stripe"),
    Output("]C1\x1d3000001234", GARBAGE, "GS1-128 with FNC1"),
    Output("3000001234\x1d", GARBAGE, "FNC1 behind it"),
    Output("]Q2\\0000263000001234", GARBAGE, "QR with an ECI"),
    Output("]Q1https://library.example/3000001234", GARBAGE, "QR with an address"),
    Output('{"card":"3000001234"}', GARBAGE, "QR with JSON"),
)
"""The forms that were tried of imagers' manuals; FNC1, ECI and more than a number are refused."""
