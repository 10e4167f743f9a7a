"""A log that is a list."""

from __future__ import annotations

from dataclasses import dataclass, field

from doorctl.core.ports import WELL

Field = str | float | bool | None


@dataclass
class FakeEventLog:
    """Each line as a dict with its name under ``event``; no key is left out.

    What was found to be well is no line; its kinds are kept apart. Nor is an alarm's `part` shown.
    """

    lines: list[dict[str, Field]] = field(default_factory=list)
    well: list[str] = field(default_factory=list)

    def emit(self, event: str, **fields: Field) -> None:
        """Keep one line."""
        if event == WELL:
            self.well.append(str(fields["kind"]))
        else:
            fields.pop("part", None)
            self.lines.append({"event": event, **fields})

    def named(self, event: str) -> list[dict[str, Field]]:
        """Return the lines of one name."""
        return [line for line in self.lines if line["event"] == event]

    @property
    def alarms(self) -> list[object]:
        """The kinds of all alarms, in order."""
        return [line["kind"] for line in self.named("alarm")]
