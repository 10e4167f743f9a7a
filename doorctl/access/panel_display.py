"""What the screen at the door has to remember: what was told last, and the hours of this minute."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from doorctl.access.attempt import Attempt
from doorctl.access.calendar import Calendar, Mode
from doorctl.access.modes import Override
from doorctl.access.panel import Notice, PanelRules, PanelState, panel_state
from doorctl.access.panel_hours import Outlook, outlook
from doorctl.moments import Moment

Standing = tuple[Mode | None, bool]
"""A mode, None where nobody knows, and whether nobody new comes in before closing."""


@dataclass(frozen=True, slots=True)
class Display:
    """The screen as it stands.

    Args:
        rules: the branch's.
        calendar: None until it was read.
        override: what staff have set.
        notice: what was told last; None once it has stood for long enough.
        outlook: the hours as of `found_for`.
        found_for: which minute, since 1970, and standing the outlook is of; None to find it anew.
    """

    rules: PanelRules = field(default_factory=PanelRules)
    calendar: Calendar | None = None
    override: Override | None = None
    notice: Notice | None = None
    outlook: Outlook = field(default_factory=lambda: Outlook(Mode.CLOSED))
    found_for: tuple[float, bool, Standing] | None = None

    @property
    def deadline_s(self) -> float | None:
        """When :meth:`at` has to be called next, monotonic seconds; None for whenever."""
        return None if self.notice is None else self.notice.until_s

    def heard(self, calendar: Calendar | None, override: Override | None) -> Display:
        """Return the screen by other hours."""
        return replace(self, calendar=calendar, override=override, found_for=None)

    def telling(self, notice: Notice | None) -> Display:
        """Return the screen with what is told now, or with nothing."""
        return replace(self, notice=notice)

    def at(self, now_s: float, moment: Moment, standing: Standing) -> Display:
        """Return the screen at a time; the hours are looked at once a minute."""
        over = self.notice is not None and now_s >= self.notice.until_s
        current = replace(self, notice=None) if over else self
        minute = moment.local.timestamp() // 60
        wanted = (minute, moment.dependable, standing)
        if wanted == self.found_for:
            return current
        found = outlook(self.calendar, self.override, moment, standing, self.rules.countdown_min)
        return replace(current, outlook=found, found_for=wanted)

    def state(self, attempt: Attempt, *, broken: bool) -> PanelState:
        """Return what is shown of an attempt; `broken` where no card can be read."""
        return panel_state(attempt, self.notice, self.outlook, self.rules, broken=broken)
