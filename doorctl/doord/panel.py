"""The screen at the door: what it shows, sent on when it changes."""

from __future__ import annotations

from dataclasses import replace

from doorctl.access.attempt import Attempt
from doorctl.access.calendar import Calendar
from doorctl.access.day import Override
from doorctl.access.messages import Concluded
from doorctl.access.panel import Display, PanelRules, PanelState, Standing, notice_of, turned_away
from doorctl.core.moments import Moment
from doorctl.ports import Panel


class Screen:
    """Tell people at the door how they stand; on the loop's thread.

    Args:
        panel: where it is shown; None where nobody looks.
        display: what it shows at first, by the branch's rules.
    """

    def __init__(
        self,
        panel: Panel | None = None,
        display: Display = Display(),  # noqa: B008 - frozen
    ) -> None:
        self._panel = panel
        self._display = display
        self._shown: PanelState | None = None

    @property
    def is_there(self) -> bool:
        """Whether anybody can look; else nothing need be found out for it."""
        return self._panel is not None

    @property
    def deadline_s(self) -> float | None:
        """When :meth:`show` has to be called next, monotonic seconds; None for whenever."""
        return self._display.deadline_s

    def hear_hours(self, calendar: Calendar | None, override: Override | None) -> None:
        """Go by other hours from now on."""
        self._display = self._display.heard(calendar, override)

    def reload(self, rules: PanelRules) -> None:
        """Go by other rules from now on."""
        self._display = replace(self._display, rules=rules, found_for=None)

    def ask(self) -> None:
        """Take away what was told to whoever came before."""
        self._display = self._display.telling(None)

    def tell(self, concluded: Concluded, now_s: float) -> None:
        """Tell how an attempt ended."""
        if self._panel is not None:
            notice = notice_of(concluded, self._display.rules, now_s)
            self._display = self._display.telling(notice)

    def turn_away(self, now_s: float) -> None:
        """Tell somebody to wait for those who came before."""
        if self._panel is not None:
            self._display = self._display.telling(turned_away(self._display.rules, now_s))

    def show(
        self, attempt: Attempt, now_s: float, moment: Moment, standing: Standing, *, broken: bool
    ) -> None:
        """Show how an attempt stands.

        Args:
            attempt: the current one.
            now_s: monotonic seconds.
            moment: the same by the wall clock.
            standing: see :data:`~doorctl.access.panel.Standing`.
            broken: whether no card can be read.
        """
        if self._panel is None:
            return
        self._display = self._display.at(now_s, moment, standing)
        state = self._display.state(attempt, broken=broken)
        if state != self._shown:
            self._shown = state
            self._panel.show(state)
