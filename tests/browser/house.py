"""A whole branch for a browser: a real door, a real web process, and a month behind them."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from types import MappingProxyType

from doorctl.access.patron import Patron
from tests.browser.past import keep_records, live_through
from tests.fakes.cards import plastic, sealed
from tests.web.branch import Branch, row

VISITS_PER_DAY = 150

CARD, PIN = "3000001234", "4711"
BLOCKED_CARD = "3000001242"
CHILDS_CARD, SLOW_CARD = "3000001259", "3000001267"
PEOPLE = MappingProxyType(
    {
        CARD: Patron("1001", resident=True),
        BLOCKED_CARD: Patron("1002", resident=True, blocks=frozenset({"O"})),
        CHILDS_CARD: Patron("1003", resident=True, enter_from=date(2099, 1, 1)),
        SLOW_CARD: Patron("1004", resident=True, tags=frozenset({"long_release"})),
    }
)

SETTINGS = (
    'keypad.port=""',
    "panel.keypad=true",
    "panel.speech=true",
    "panel.message_s=2",
    "keypad.digit_timeout_s=30",
    "keypad.total_timeout_s=30",
    "door.release_s=0.5",
)
"""Keys are on the screen, and nobody who tests is in a hurry."""


class House:
    """A branch that runs, and who may come to it.

    `branch`: both of its processes; they have been started.
    """

    def __init__(self, branch: Branch) -> None:
        self.branch = branch
        self.address = f"http://127.0.0.1:{branch.port}"

    def swipe(self, number: str = CARD) -> int:
        """Swipe a card at the reader; return the attempt's number once it is on record."""
        self.branch.stage.reader.send(f"{number}\r".encode())
        return self.branch.stage.wait_for_attempt()

    @property
    def web_pid(self) -> int:
        """The web process's number."""
        return int(self.branch.lines[0]["pid"])


@contextmanager
def staged(
    directory: Path, visits_per_day: int = VISITS_PER_DAY, settings: tuple[str, ...] = ()
) -> Iterator[House]:
    """Yield a house with everything in it; both processes end with the block.

    `visits_per_day`: how busy the last month was; `settings`: more than :data:`SETTINGS`, or
    others.
    """
    branch = Branch(directory, *SETTINGS, *settings)
    branch.forked = branch.stage.forked = True
    registered = [
        sealed(branch.sealer, plastic(number), patron, PIN) for number, patron in PEOPLE.items()
    ]
    cards = [one.row_key for one in registered]
    live_through(branch.config, visits_per_day, cards)
    keep_records(branch.config, cards[0])
    with branch.stage:
        try:
            branch.start()
            crowd = [row(number) for number in range(100, 200)]
            answer = branch.push(branch.document([*registered, *crowd], 1))
            assert answer.status_code == 200, answer.text
            branch.stage.start()
            yield House(branch)
        finally:
            branch.end(signal.SIGKILL)
