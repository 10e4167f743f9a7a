"""After the evening the viewer swipes: a card, a PIN, and what the door says to them."""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO

from doorctl.access.reasons import SENTENCES
from doorctl.cards.identify import normalise
from doorctl.demo.paper import Paper
from doorctl.demo.patrons import CAST, Role
from doorctl.demo.play import Doorway, Player
from doorctl.demo.scenes import Words
from doorctl.errors import NotAnsweringError

INVITATION = Words(
    "Nu er det din tur: skriv et navn eller et kortnummer fra listen, eller hvad du ellers vil "
    "lade læseren sende, og så en pinkode. Tom pinkode: gå din vej uden at taste.",
    "Your turn: type a name or a card number from the list, or whatever else the reader shall "
    "send, and then a PIN. Empty PIN: walk away without typing.",
)
COMMANDS = (
    ("kort | cards", "denne liste / this list"),
    ("log", "dørloggen, som personalet ser den / the door log as staff see it"),
    ("pull, plug", "læserens stik ud og i / the reader's plug out and in"),
    ("quit", "slut, også med en tom linje eller Ctrl-D / end, also by an empty line or Ctrl-D"),
)
CARD_PROMPT = "kort/card> "
PIN_PROMPT = "pin (en rigtig dør viser den aldrig / a real door never shows it)> "
UNPLUGGED = Words(
    "Stikket er ude: læseren hører intet. Skriv plug.",
    "The plug is out: the reader hears nothing. Type plug.",
)


class Visitor:
    """Lets the viewer act at the door. One thread.

    Args:
        door: the real one.
        paper: where it is told.
        player: carries out what they type.
        source: what they type; a line each.
        visits: returns the door log as ``doorctl visits list`` prints it.
    """

    def __init__(
        self,
        door: Doorway,
        paper: Paper,
        player: Player,
        source: BinaryIO,
        visits: Callable[[], str],
    ) -> None:
        self._door = door
        self._paper = paper
        self._player = player
        self._source = source
        self._visits = visits
        self._plugged = True
        self._commands: dict[str, Callable[[], None]] = {
            "log": self._log,
            "pull": self._pull,
            "plug": self._plug,
            "kort": self._list_cards,
            "cards": self._list_cards,
            "help": self._list_cards,
            "?": self._list_cards,
        }

    def stay(self) -> None:
        """Go on until an empty line, ``quit``, the end of the input or Ctrl-C."""
        try:
            self._paper.write()
            self._paper.rule()
            self._paper.tell(INVITATION)
            self._list_cards()
            while (typed := self._ask(CARD_PROMPT)) not in {"", "quit", "exit", "slut"}:
                self._obey(typed)
        except KeyboardInterrupt:
            self._paper.write()

    def _obey(self, typed: str) -> None:
        command = self._commands.get(typed.lower())
        try:
            if command is not None:
                command()
            elif self._plugged:
                self._swipe(typed)
            else:
                self._paper.tell(UNPLUGGED)
        except NotAnsweringError as err:
            self._paper.item("✗", str(err), "bad")

    def _swipe(self, typed: str) -> None:
        role = next((role for role in CAST if role.first_name.lower() == typed.lower()), None)
        # Latin-1 would not hold everything that can be typed; a reader sends bytes anyway.
        data = role.swipe if role else f"{typed}\r".encode("utf-8", "surrogateescape")
        readable = bool(normalise(data.decode("utf-8", "replace")))
        pin = self._ask(PIN_PROMPT) if readable else ""
        self._player.swipe(data, readable=readable)
        if readable:
            self._player.type(pin)
        self._player.answer()

    def _ask(self, prompt: str) -> str:
        self._paper.write(prompt, "heading", end="")
        line = self._source.readline()
        if not line.endswith(b"\n"):
            self._paper.write()
        return line.decode("utf-8", "surrogateescape").strip()

    def _list_cards(self) -> None:
        head = ("navn/name", "kort/card", "pin", "vent/expect")
        self._paper.write()
        self._paper.table([head, *(_sample(role) for role in CAST)])
        self._paper.write()
        for command, what in COMMANDS:
            self._paper.item(command, what)

    def _log(self) -> None:
        self._paper.quote(self._visits())

    def _pull(self) -> None:
        if self._plugged:
            self._door.pull()
            self._plugged = False
        self._paper.item("stik/plug", "ude / out")

    def _plug(self) -> None:
        if not self._plugged:
            self._door.put_back(b"")
            self._plugged = True
        self._paper.item("stik/plug", "i / in")


def _sample(role: Role) -> tuple[str, str, str, str]:
    danish, english = SENTENCES[role.expected]
    return role.first_name, role.number, role.pin, f"{danish} / {english}"
