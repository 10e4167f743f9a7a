"""A reader with keypad on OSDP's secure channel, for ``reader.kind = "osdp"``."""
