"""The viewer swipes by typing: a card, a PIN, and what the door says to them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import BinaryIO

from doorctl.access.reasons import SENTENCES
from doorctl.cards.identify import normalise
from doorctl.demo.paper import Paper
from doorctl.demo.patrons import CAST, Role
from doorctl.demo.play import Doorway, Player
from doorctl.demo.scenes import Words
from doorctl.errors import DeviceError, NotAnsweringError

INVITATION = Words(
    "Prøv døren på siden, eller her: skriv et navn eller et kortnummer fra listen, eller hvad du "
    "ellers vil lade læseren sende, og så en pinkode. Tom pinkode: gå din vej uden at taste.",
    "Try the door on the page, or here: type a name or a card number from the list, or whatever "
    "else the reader shall send, and then a PIN. Empty PIN: walk away without typing.",
)
COMMANDS = (
    ("kort | cards", "denne liste / this list"),
    ("log", "dørloggen, som personalet ser den / the door log as staff see it"),
    ("pull, plug", "læserens stik ud og i / the reader's plug out and in"),
    ("spil | play", "en aften i ti optrin / an evening in ten scenes"),
    ("quit", "slut, også med Ctrl-D / end, also by Ctrl-D"),
)
CARD_PROMPT = "kort/card> "
PIN_PROMPT = "pin (en rigtig dør viser den aldrig / a real door never shows it)> "
UNPLUGGED = Words(
    "Stikket er ude: læseren hører intet. Skriv plug.",
    "The plug is out: the reader hears nothing. Type plug.",
)
BUSY = Words(
    "Der er nogen ved døren lige nu; prøv igen.", "Somebody is at the door; try again in a moment."
)


@dataclass(frozen=True, slots=True)
class Room:
    """What the viewer can make use of beside the door.

    Args:
        visits: returns the door log as ``doorctl visits list`` prints it.
        evening: plays it; returns at its end.
        turn: tells whether the door is ours for as long as it lasts: the page has hands too.
        is_in: tells whether the reader's plug is in.
    """

    visits: Callable[[], str]
    evening: Callable[[], object]
    turn: Callable[[], AbstractContextManager[bool]]
    is_in: Callable[[], bool]


class Visitor:
    """Lets the viewer act at the door. One thread.

    Args:
        door: the real one.
        paper: where it is told.
        player: carries out what they type.
        source: what they type; a line each.
        room: everything else.
    """

    def __init__(
        self, door: Doorway, paper: Paper, player: Player, source: BinaryIO, room: Room
    ) -> None:
        self._door = door
        self._paper = paper
        self._player = player
        self._source = source
        self._room = room
        self._ended = False
        self._commands: dict[str, Callable[[], None]] = {
            "log": self._log,
            "spil": self._evening,
            "play": self._evening,
            "pull": self._pull,
            "plug": self._plug,
            "kort": self._list_cards,
            "cards": self._list_cards,
            "help": self._list_cards,
            "?": self._list_cards,
        }

    def stay(self) -> None:
        """Go on until ``quit`` or the end of the input."""
        self._paper.write()
        self._paper.rule()
        self._paper.tell(INVITATION)
        self._list_cards()
        while (typed := self._ask(CARD_PROMPT)) not in {"quit", "exit", "slut"} and not self._ended:
            self._obey(typed)

    def _obey(self, typed: str) -> None:
        command = self._commands.get(typed.lower())
        try:
            if command is not None:
                command()
            elif typed and self._room.is_in():
                self._swipe(typed)
            elif typed:
                self._paper.tell(UNPLUGGED)
        except (NotAnsweringError, DeviceError) as err:
            self._paper.item("✗", str(err), "bad")

    def _swipe(self, typed: str) -> None:
        role = next((role for role in CAST if role.first_name.lower() == typed.lower()), None)
        # Latin-1 would not hold everything that can be typed; a reader sends bytes anyway.
        data = role.swipe if role else f"{typed}\r".encode("utf-8", "surrogateescape")
        readable = bool(normalise(data.decode("utf-8", "replace")))
        pin = self._ask(PIN_PROMPT) if readable else ""
        with self._room.turn() as ours:
            if not ours:
                self._paper.tell(BUSY)
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
        self._paper.write()
        self._paper.table([head, *(_sample(role) for role in CAST)])
        self._paper.write()
        for command, what in COMMANDS:
            self._paper.item(command, what)

    def _log(self) -> None:
        self._paper.quote(self._room.visits())

    def _evening(self) -> None:
        self._room.evening()

    def _pull(self) -> None:
        with self._room.turn() as ours:
            if ours and self._room.is_in():
                self._door.pull()
        self._tell_plug()

    def _plug(self) -> None:
        with self._room.turn() as ours:
            if ours and not self._room.is_in():
                self._door.put_back(b"")
        self._tell_plug()

    def _tell_plug(self) -> None:
        self._paper.item("stik/plug", "i / in" if self._room.is_in() else "ude / out")


def _sample(role: Role) -> tuple[str, str, str, str]:
    danish, english = SENTENCES[role.expected]
    return role.first_name, role.number, role.pin, f"{danish} / {english}"
