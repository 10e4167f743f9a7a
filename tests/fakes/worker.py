"""A worker whose jobs run when the test says so."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from doorctl.doord.jobs import PostedEvent, Worker

Job = Callable[[], PostedEvent | None]


@dataclass
class FakeWorker(Worker):
    """Jobs in order, none of them run by itself.

    `post`: takes what a job returns, such as ``controller.handle``.
    """

    post: Callable[[PostedEvent], None]
    jobs: deque[Job] = field(default_factory=deque)

    def submit(self, job: Job) -> None:
        """Queue a job."""
        self.jobs.append(job)

    def backlog(self) -> int:
        """Return how many jobs wait."""
        return len(self.jobs)

    def work(self) -> None:
        """Do all jobs, those that are asked for meanwhile too."""
        while self.jobs:
            self.work_once()

    def work_once(self) -> None:
        """Do the next job."""
        posted = self.jobs.popleft()()
        if posted is not None:
            self.post(posted)
