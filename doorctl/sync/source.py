"""Where patrons come from: all that the sender knows of a library system."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from doorctl.sync.feed import FeedPatron, WrongRow


@dataclass(frozen=True, slots=True)
class Export:
    """What a source gave, every row of it checked.

    Args:
        subject: the source's name, for messages.
        patrons: one row each; one without identifiers can't enter any more.
        whole: whether they are the whole register, so that whoever is missing is removed.
        set_aside: rows that can't be, each with the name of the file where it stands; nobody of
            them is among `patrons`.
    """

    subject: str
    patrons: Sequence[FeedPatron]
    whole: bool
    set_aside: Sequence[tuple[str, WrongRow]] = ()


class Source(Protocol):
    """A library system, or what was exported from it. One thread."""

    def read(self) -> Export:
        """Return what there is now; a few wrong rows are set aside.

        Raises:
            FeedError: something of it is wrong, so nothing of it can be used.
        """
