"""The table about the screen at the door."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from doorctl.config.description import key

LanguageCode = Annotated[str, Meta(pattern=r"^[a-z]{2,3}(-[A-Za-z]{2,4})?\Z")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """The screen at the door, which shows the web process's page /panel."""

    keypad: Annotated[
        bool,
        key(
            "Whether the screen shows a PIN pad: only where keypad.port is empty, only on a screen "
            "of this machine, and never behind something that passes on other machines' requests."
        ),
    ] = False
    elsewhere: Annotated[
        bool,
        key(
            "Whether other machines may see the page, such as a tablet at the door. Whoever sees "
            "it sees when somebody comes; keys are taken from this machine only."
        ),
    ] = False
    languages: Annotated[
        tuple[LanguageCode, ...],
        key(
            "Languages that can be chosen on the screen, in order after branch.language. Empty: "
            "every catalogue that is there.",
            ["da", "en"],
            'a list of at most 8 codes such as "en"',
            max_length=8,
        ),
    ] = ()
    speech: Annotated[
        bool,
        key("Whether the page offers to speak, by the voices that the browser has."),
    ] = False
    message_s: Annotated[
        float,
        key(
            "Seconds that a welcome or a refusal stands, each as long as any other; the next card "
            "ends it.",
            ge=2,
            le=30,
        ),
    ] = 6.0
    countdown_min: Annotated[
        int,
        key("Minutes before closing from which on they are counted down.", ge=0, le=120),
    ] = 15
    idle_s: Annotated[
        int,
        key(
            "Seconds of rest after which a language that somebody chose gives way to "
            "branch.language.",
            ge=5,
            le=600,
        ),
    ] = 30
