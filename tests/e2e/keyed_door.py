"""A real door whose reader and keypad are USB keyboards; see `tests/fakes/keyboard.py`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import MappingProxyType

from tests.e2e.conftest import Loaded
from tests.e2e.door import Door
from tests.fakes.keyboard import KeyboardPlug

TWO_KEYBOARDS = ('reader.kind="usb"', 'keypad.kind="usb"')


class KeyedDoor(Door):
    """A door over which keyboards are laid.

    Args:
        like: the door to take directory, patrons and pins from.
        library: what `tests.fakes.keyboard.built` returned.
        overrides: of the configuration; with `TWO_KEYBOARDS` or one of them.
        names: ``reader`` or ``keypad`` -> another name of its node, which says what it is.
        layout: how the scanner's keys are laid out.
    """

    def __init__(
        self,
        like: Door,
        loaded: Loaded,
        library: Path,
        overrides: Sequence[str] = TWO_KEYBOARDS,
        *,
        names: MappingProxyType[str, str] = MappingProxyType({}),
        layout: str = "danish",
    ) -> None:
        nodes = {line: like.directory / name for line, name in names.items()}
        ports = (f"{line}.port={node}" for line, node in nodes.items())
        super().__init__(like.directory, loaded.config, (*overrides, *ports), pins=loaded.pins)
        self._library = library
        if 'reader.kind="usb"' in overrides:
            node = nodes.get("reader", like.directory / "reader")
            self.reader = KeyboardPlug(node, layout=layout)
        if 'keypad.kind="usb"' in overrides:
            self.keyboard = KeyboardPlug(nodes.get("keypad", like.directory / "keypad"))
            self.keypad = self.keyboard

    def command(self, *words: str, tethered: bool = False) -> list[str]:
        """Return the command line of a process that takes FIFOs for keyboards."""
        over = f"LD_PRELOAD={self._library}"
        return ["env", over, *super().command(*words, tethered=tethered)]
