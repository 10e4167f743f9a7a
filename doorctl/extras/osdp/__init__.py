"""A reader with keypad on OSDP's secure channel, for ``reader.kind = "osdp"``."""

from __future__ import annotations

from doorctl.extras.extra import Extra

EXTRA = Extra()
