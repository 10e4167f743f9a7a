"""Named outputs that remember what was switched."""

from __future__ import annotations

from collections.abc import Iterable

from doorctl.core.errors import DeviceError


class FakeOutputs:
    """All off at first.

    `names`: which there are.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self.on = dict.fromkeys(names, False)
        self.switched: list[tuple[str, bool]] = []
        self.broken: set[str] = set()

    def switch(self, name: str, *, on: bool) -> None:
        """Switch one; a repetition leaves no entry in `switched`."""
        if name not in self.on:
            raise DeviceError(f"there is no output {name}")
        if name in self.broken:
            raise DeviceError(f"the output {name} can't be driven: the fake is broken")
        if self.on[name] is not on:
            self.on[name] = on
            self.switched.append((name, on))
