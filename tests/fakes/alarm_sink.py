"""A way out that is a list."""

from __future__ import annotations

from dataclasses import dataclass, field

from doorctl.core.ports import Notice, NotSentError


@dataclass
class FakeSink:
    """Takes notices, or refuses them while `why` is set.

    `taken`: what was sent, in order; `tried`: how often somebody tried.
    """

    why: str | None = None
    taken: list[Notice] = field(default_factory=list)
    tried: int = 0

    def send(self, notice: Notice) -> None:
        """Take one."""
        self.tried += 1
        if self.why is not None:
            raise NotSentError(self.why)
        self.taken.append(notice)
