"""A reader with keypad on OSDP's secure channel, for ``reader.kind = "osdp"``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from doorctl.config.rules import ITS_PATH, Values, has_keypad_line
from doorctl.config.tables import Reader, key
from doorctl.core.alarms import at_once, over
from doorctl.core.errors import InputError, Problem
from doorctl.extras.extra import Extra, LineParts, Lines

if TYPE_CHECKING:
    from doorctl.config import Config

KEY_FILE = "reader.osdp_key_file"


@dataclass(frozen=True, slots=True, kw_only=True)
class OsdpTable(Reader):
    """What an OSDP reader alone reads of [reader]."""

    osdp_address: int = key(0, within=(0, 126))
    osdp_key_file: Path = key(Path(), example="/etc/doorctl/reader.key")
    osdp_number: Literal["text", "hex", "decimal"] = key("text")


def has_its_key(values: Values) -> Iterator[Problem]:
    """Without a key of its own nothing that a reader says is believed."""
    if values.get("reader.kind") == "osdp" and values.get(KEY_FILE) == Path():
        yield Problem(KEY_FILE, ITS_PATH, beside='reader.kind = "osdp"')


def has_a_keypad(values: Values) -> Iterator[Problem]:
    """PINs can be typed: its keys come on the keypad's line, and never with its cards.

    Bug (a second reader): beside a keypad without a port each key was dropped, and nobody got in.
    """
    none = values.get("keypad.kind") == "serial" and has_keypad_line(values) is False
    needed = values.get("policy.require_pin") and values.get("panel.keypad") is False
    if values.get("reader.kind") == "osdp" and none and needed:
        what = 'found {found}, and no keypad has a port; give "osdp" for the reader\'s own keys'
        yield Problem("keypad.kind", what, found='"serial"')


def lines(parts: LineParts) -> Lines:
    """Return the one device, which serves the reader, its keypad, and its lamps."""
    from doorctl.extras.osdp.device import OsdpReader

    reader = parts.config.reader
    if not isinstance(reader, OsdpTable):
        raise TypeError("an OSDP keypad without its reader")
    device = OsdpReader(
        reader,
        parts.names,
        post=parts.post,
        pending=parts.pending,
        monotonic_s=parts.monotonic_s,
        log=parts.log,
    )
    return Lines((device,), device)


def probe(port: str) -> Mapping[str, object] | None:
    """Ask a serial line for a reader; see :func:`doorctl.extras.osdp.probing.probe`."""
    from doorctl.extras.osdp.probing import probe as ask

    return ask(port)


def reader_key(config: Config, installing: bool) -> str:
    """Give the reader its key; see :func:`doorctl.extras.osdp.keying.give_key`."""
    from doorctl.extras.osdp.keying import give_key
    from doorctl.lookup.app import App
    from doorctl.lookup.key_days import placed
    from doorctl.privacy.audit import Action, Deed
    from doorctl.services.branch import note_done

    reader = config.reader
    if not isinstance(reader, OsdpTable):
        raise InputError(f"reader.kind is {reader.kind}, and such a reader has no key")
    app = App.of(config)

    def note(how: str) -> None:
        # A branch that is being set up may have no audit log yet.
        if config.storage.branch_db.exists():
            note_done(app, Deed(Action.READER_KEYED, details={"how": how}))

    return give_key(
        placed(config, reader.osdp_key_file),
        reader.port,
        reader.baud,
        reader.osdp_address,
        monotonic_s=app.clock.monotonic_s,
        note=note,
        installing=installing,
    )


ALARMS = {
    "reader_tampered": at_once(
        "The card reader was opened or taken off the wall, or somebody is at its cable.",
        "Go and see it before anybody uses it, and its cable too.",
    ),
    "reader_tampered_cleared": over(
        "reader_tampered", "The card reader is shut, and its cable is quiet."
    ),
}

EXTRA = Extra(
    sections={"reader": OsdpTable},
    rules=(has_its_key, has_a_keypad),
    alarms=ALARMS,
    modules=("osdp_sys",),
    key_files={"reader_key": KEY_FILE},
    lines=lines,
    probe=probe,
    reader_key=reader_key,
)
