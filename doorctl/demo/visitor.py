"""The visitor at the terminal, who types what reader and keypad would send."""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO

from doorctl.access.patron import SENTENCES
from doorctl.cards.identify import normalise
from doorctl.core.errors import (
    DeviceError,
    NotAnsweringError,
)
from doorctl.demo.evening import (
    printed,
)
from doorctl.demo.house import House
from doorctl.demo.patrons import CAST

COMMANDS = (
    ("kort | cards", "denne liste / this list"),
    ("log", "dørloggen, som personalet ser den / the door log as staff see it"),
    ("pull, plug", "læserens stik ud og i / the reader's plug out and in"),
    ("spil | play", "en aften i ti optrin / an evening in ten scenes"),
    ("quit", "slut, også med Ctrl-D / end, also by Ctrl-D"),
)

CARD_PROMPT = "kort/card> "

PIN_PROMPT = "pin (en rigtig dør viser den aldrig / a real door never shows it)> "


class Visitor:
    """Lets the viewer act at the real door by typing a line at a time. One thread."""

    def __init__(self, house: House, source: BinaryIO) -> None:
        self._house = house
        self._paper = house.paper
        self._player = house.player
        self._source = source
        self._ended = False
        self._commands: dict[str, Callable[[], None]] = {
            "log": lambda: self._paper.quote(printed(house.stage, "visits", "list")),
            "pull": lambda: self._plug(is_in=False),
            "plug": lambda: self._plug(is_in=True),
            **dict.fromkeys(("spil", "play"), house.programme.play),
            **dict.fromkeys(("kort", "cards", "help", "?"), self._list_cards),
        }

    def stay(self) -> None:
        """Go on until ``quit`` or the end of the input."""
        self._paper.write()
        self._paper.rule()
        self._paper.tell(
            "Try the door on the page, or here: type a name or a card number from the list, or "
            "whatever else the reader shall send, and then a PIN. Empty PIN: walk away without "
            "typing."
        )
        self._list_cards()
        while (typed := self._ask(CARD_PROMPT)) not in {"quit", "exit", "slut"} and not self._ended:
            try:
                self._obey(typed)
            except (NotAnsweringError, DeviceError) as err:
                self._paper.item("✗", str(err), "bad")

    def _obey(self, typed: str) -> None:
        if command := self._commands.get(typed.lower()):
            command()
        elif typed and self._house.stage.reader.is_in:
            self._swipe(typed)
        elif typed:
            self._paper.tell("The plug is out: the reader hears nothing. Type plug.")

    def _swipe(self, typed: str) -> None:
        role = next((role for role in CAST if role.first_name.lower() == typed.lower()), None)
        # Latin-1 would not hold everything that can be typed; a reader sends bytes anyway.
        data = role.swipe if role else f"{typed}\r".encode("utf-8", "surrogateescape")
        readable = bool(normalise(data.decode("utf-8", "replace")))
        pin = self._ask(PIN_PROMPT) if readable else ""
        with self._house.hands.turn() as ours:
            if not ours:
                self._paper.tell("Somebody is at the door; try again in a moment.")
                return
            self._player.swipe(data, readable=readable)
            if readable:
                self._player.type(pin)
            self._player.answer()

    def _ask(self, prompt: str) -> str:
        self._paper.write(prompt, "heading", end="")
        line = self._source.readline()
        self._ended = not line
        if not line.endswith(b"\n"):
            self._paper.write()
        return line.decode("utf-8", "surrogateescape").strip()

    def _list_cards(self) -> None:
        head = ("navn/name", "kort/card", "pin", "vent/expect")
        expected = (" / ".join(SENTENCES[role.expected]) for role in CAST)
        rows = zip(CAST, expected, strict=True)
        self._paper.write()
        self._paper.table(
            [head, *((role.first_name, role.number, role.pin, what) for role, what in rows)]
        )
        self._paper.write()
        for command, what in COMMANDS:
            self._paper.item(command, what)

    def _plug(self, *, is_in: bool) -> None:
        reader = self._house.stage.reader
        with self._house.hands.turn() as ours:
            if ours and is_in and not reader.is_in:
                self._house.stage.put_back(b"")
            elif ours and not is_in and reader.is_in:
                self._house.stage.pull()
        self._paper.item("stik/plug", "i / in" if reader.is_in else "ude / out")
