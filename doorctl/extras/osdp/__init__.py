"""A reader with keypad on OSDP's secure channel, for ``reader.kind = "osdp"``."""

from __future__ import annotations

from collections.abc import Mapping

from doorctl.extras.extra import Extra


def probe(port: str) -> Mapping[str, object] | None:
    """Ask a serial line for a reader; see :func:`doorctl.extras.osdp.probing.probe`."""
    from doorctl.extras.osdp.probing import probe as ask

    return ask(port)


EXTRA = Extra(probe=probe)
