"""Every address of the web process, as it is built for a branch."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from starlette.routing import Mount, Route

from doorctl.config import Config
from doorctl.lookup.app import App
from doorctl.lookup.configured import system_clock
from doorctl.lookup.numbers import DoorsNumbers
from doorctl.web.alarms import WebsAlarms
from doorctl.web.branch_thread import BranchThread
from doorctl.wiring.pages import Pages, pages
from tests.fakes.event_log import FakeEventLog


@contextmanager
def built(config: Config) -> Iterator[Pages]:
    """Give all pages of a branch whose databases are there and whose processes don't run."""
    with ExitStack() as stack:
        clock, log = system_clock(config), FakeEventLog()
        app = App(config, clock, DoorsNumbers(config.control.socket))
        branch = BranchThread(app)
        stack.callback(branch.close)
        alarms = WebsAlarms(config, log, clock, stack, {}).kept_in(branch, stack)
        shown = pages(app, log, branch, alarms, stack)
        stack.callback(shown.stop)
        yield shown


def addresses(config: Config) -> Iterator[tuple[str, str]]:
    """Yield each page's method and path, with parameters as OpenAPI writes them."""
    with built(config) as shown:
        for route in shown.routes:
            if isinstance(route, Mount):
                yield "GET", f"{route.path}/{{path}}"
            elif isinstance(route, Route):
                path = re.sub(r"{(\w+):\w+}", r"{\1}", route.path)
                yield from ((method, path) for method in route.methods or () if method != "HEAD")
