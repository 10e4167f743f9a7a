"""A log that is a list."""

from __future__ import annotations

from dataclasses import dataclass, field

Field = str | float | bool | None


@dataclass
class FakeEventLog:
    """Each line as a dict with its name under ``event``; no key is left out."""

    lines: list[dict[str, Field]] = field(default_factory=list)

    def emit(self, event: str, **fields: Field) -> None:
        """Keep one line."""
        self.lines.append({"event": event, **fields})

    def named(self, event: str) -> list[dict[str, Field]]:
        """Return the lines of one name."""
        return [line for line in self.lines if line["event"] == event]

    @property
    def alarms(self) -> list[object]:
        """The kinds of all alarms, in order."""
        return [line["kind"] for line in self.named("alarm")]
