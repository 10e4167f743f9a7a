"""What goes on at the web process meanwhile: pushes, and staff who look at pages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import httpx2

from doorctl.access.patron import SealedRow
from doorctl.accounts.account import Account, Password, Role
from doorctl.services import deeds
from doorctl.services.accounts import hashed
from doorctl.services.app import App
from doorctl.services.branch import change
from doorctl.sync.document import Kind
from tests.web.branch import Branch, row

NAME = "soak"
PASSWORD = "en lang adgangssætning til udholdenhed"
PAGES = ("/now", "/log", "/statistics", "/calendar", "/bans", "/passes", "/audit", "/me")
STRANGERS = 1000
CHANGED = 20
LIMIT_S = 30.0


class Pushing:
    """Sends a snapshot, then changes, a few times, and so on; one thread."""

    def __init__(self, branch: Branch, people: Sequence[SealedRow]) -> None:
        self.answers: Counter[int] = Counter()
        self._branch = branch
        self._people = list(people)
        self._turn = 0

    def push(self) -> int:
        """Send the next one; return the answer's status."""
        self._turn += 1
        epoch = int(self._branch.held()["epoch"])
        is_whole = self._turn % 5 == 1
        if is_whole:
            lines = [*self._people, *(row(number) for number in range(STRANGERS))]
        else:
            blocks = frozenset("E" if self._turn % 2 else "")
            lines = [row(number, blocks=blocks) for number in range(CHANGED)]
        kind: Kind = "snapshot" if is_whole else "changes"
        document = self._branch.document(
            lines, epoch + 1, kind=kind, previous=epoch, approved_by="soak", compress=is_whole
        )
        status = self._branch.push(document, kind=kind).status_code
        self.answers[status] += 1
        if status != httpx2.codes.OK:
            # Changes of rows that no snapshot has brought would follow on nothing.
            self._turn = 0
        return status


class Looking:
    """Somebody of the staff, signed in, who looks at one page after another; one thread."""

    def __init__(self, branch: Branch) -> None:
        self.answers: Counter[int] = Counter()
        self._turn = 0
        self._client = httpx2.Client(
            base_url=f"http://127.0.0.1:{branch.port}",
            headers={"Sec-Fetch-Site": "same-origin", "Accept": "text/html"},
            timeout=LIMIT_S,
            trust_env=False,
        )

    def look(self) -> int:
        """Look at the next page, signing in where the session is over; return the status."""
        path = PAGES[self._turn % len(PAGES)]
        self._turn += 1
        answer = self._client.get(path)
        if answer.is_redirect:
            self._client.post("/sign-in", data={"name": NAME, "password": PASSWORD, "next": path})
            answer = self._client.get(path)
        self.answers[answer.status_code] += 1
        return answer.status_code

    def close(self) -> None:
        """Hang up."""
        self._client.close()


def add_account(branch: Branch) -> None:
    """Make the account; works only while no web process runs."""
    soak = Account(NAME, "Soak", Role.MANAGER)
    change(App.of(branch.config), deeds.add_account(soak, hashed(Password(PASSWORD), NAME)))
