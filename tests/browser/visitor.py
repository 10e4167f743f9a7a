"""Somebody with a browser: sees pages, and notes whatever a page does that it must not do."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from playwright.sync_api import Browser, Locator, Page, Response, ViewportSize, expect

from doorctl.accounts.roles import Role
from doorctl.accounts.session import FRESH_MS
from tests.browser.house import PASSWORD, House
from tests.fakes.waiting import LIMIT_S, until

NAMES: Final = ("chromium-headless-shell", "chromium", "chromium-browser")
"""Debian's without a window, which takes two thirds of the processor (measured), its whole one, and
Ubuntu's name of that."""

ARGUMENTS: Final = [
    *("--no-sandbox", "--disable-gpu", "--in-process-gpu", "--disable-dev-shm-usage"),
    *("--disable-gpu-compositing", "--disable-site-isolation-trials", "--num-raster-threads=1"),
]
"""For containers, whose root it would refuse and whose shared memory is too small for it.

The second line makes pages of one host a tenth cheaper; a process for no GPU would be idle.
"""

MISSING: Final = "Chromium is missing: apt-get install chromium-headless-shell"


def found() -> str | None:
    """Return where it is; None where it isn't."""
    return next(filter(None, map(shutil.which, NAMES)), None)


AXE: Final = Path(__file__).parent / "vendor" / "axe-core" / "axe.min.js"

RUN_AXE: Final = """
options => {
for (const one of document.getAnimations()) if (one instanceof CSSTransition) one.finish();
return axe.run({resultTypes: ['violations'], preload: false, ...options}).then(
  found => found.violations.map(
    one => one.id + ': ' + one.nodes.map(node => node.html + ' ' + node.failureSummary).join('; ')
  )
)}
"""

IN_SIGHT: Final = """
one => {
    const box = one.getBoundingClientRect();
    const seen = Math.min(box.bottom, innerHeight) - Math.max(box.top, 0);
    const whole = box.width > 0 && box.left > -1 && box.right < innerWidth + 1;
    const at = document.elementFromPoint(box.left + box.width / 2, Math.max(box.top, 0) + 2);
    return whole && box.top > -1 && seen > Math.min(box.height, innerHeight / 2) - 1
        && one.checkVisibility({visibilityProperty: true, opacityProperty: true})
        && (one.contains(at) || at?.contains(one) === true);
}
"""

AS_IT_CAME: Final = """
() => {
    const had = document.activeElement;
    had?.blur();
    scrollTo(0, 0);
    if (location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView();
    (had !== document.body && had || document.querySelector('[autofocus]'))?.focus();
}
"""
"""What a browser does with a page that has come: its fragment and its focus are scrolled to."""

LIMIT_MS: Final = 1000 * LIMIT_S
"""Longest wait for anything; a test asserts that it comes, not when."""

expect.set_options(timeout=LIMIT_MS)


@dataclass(frozen=True, slots=True)
class View:
    """How somebody looks at pages.

    `name`: for a test's name and a picture's; `width`: of the window in CSS pixels; a screen of
    1280 at 200 % has 640; `dark`: whether the browser asks for the dark scheme; `touch`: whether
    there is a finger, which taps.
    """

    name: str
    width: int
    scripts: bool = True
    height: int = 800
    dark: bool = False
    touch: bool = False


SIZES: Final = ((1280, 800), (390, 844), (800, 480), (480, 800))
"""Of the windows in which each answer is in sight: a desk's, a telephone's, both screens'."""

VIEWS: Final = (
    View("1280", 1280),
    View("640", 640),
    View("320", 320),
    View("scriptless", 1280, scripts=False),
)
LANGUAGES: Final = ("da", "en")


def in_sight(answer: Locator) -> None:
    """Wait until somebody who neither scrolls nor clicks reads an answer in the window as it is.

    It begins in the window, nothing covers it, and all of it is there, or half a window of it.
    """
    answer.wait_for()
    try:
        until(lambda: answer.evaluate(IN_SIGHT))
    except AssertionError as error:
        where = f"{answer.page.viewport_size} of {answer.page.url}"
        raise AssertionError(f"out of sight: {answer} in {where}") from error


@dataclass
class Visitor:
    """Somebody in front of one page, by a finger or a mouse; what went wrong stands in `wrongs`."""

    address: str
    page: Page
    touch: bool = False
    wrongs: list[str] = field(default_factory=list)

    def go(self, path: str) -> Response:
        """Go to a page and return the answer."""
        answer = self.page.goto(self.address + path, wait_until="load")
        assert answer is not None
        return answer

    def resize(self, width: int, height: int = 800) -> None:
        """Make the window so many pixels wide and high."""
        self.page.set_viewport_size(ViewportSize(width=width, height=height))

    def sees(self, place: str, text: str | None = None) -> None:
        """Wait for an answer :func:`in_sight`: the first at a place, with a text in it."""
        found = self.page.locator(place)
        in_sight((found if text is None else found.filter(has_text=text)).first)

    def sees_in_every_window(self, place: str) -> None:
        """Look for an answer as :meth:`sees`, in each of the :data:`SIZES` as the page came."""
        # What a form asked for may still be on its way.
        self.page.locator(place).first.wait_for()
        before = self.page.viewport_size
        assert before is not None
        for width, height in SIZES:
            self.resize(width, height)
            self.page.evaluate(AS_IT_CAME)
            self.sees(place)
        self.resize(before["width"], before["height"])

    def too_wide(self) -> int:
        """Return by how many pixels the page is wider than the window."""
        # A form's answer that has only begun to come has nothing yet that could be measured.
        self.page.wait_for_load_state()
        width = "document.scrollingElement.scrollWidth - window.innerWidth"
        return max(0, int(self.page.evaluate(width)))

    def violations(self, **options: object) -> list[str]:
        """Return what axe-core finds, each rule with the elements that break it."""
        self.page.evaluate(AXE.read_text(encoding="utf-8"))
        found: list[str] = self.page.evaluate(RUN_AXE, options)
        return found

    def watch(self) -> None:
        """Begin to note errors, violations of the policy, and requests to other hosts."""
        self.page.on("console", lambda said: self._note(said.type, said.text))
        self.page.on("pageerror", lambda error: self.wrongs.append(f"fault: {error}"))
        self.page.on("requestfailed", lambda one: self._failed(one.url, one.failure))
        self.page.on("request", lambda one: self._asked(one.url))
        self.page.on("dialog", lambda dialog: self._note("error", f"dialog: {dialog.message}"))

    def _note(self, kind: str, text: str) -> None:
        # That an answer is 403, 404 or 422 is what some pages are for.
        if kind in {"error", "warning"} and "status of 4" not in text:
            self.wrongs.append(f"{kind}: {text}")

    def _failed(self, url: str, failure: str | None) -> None:
        # A stream, and a page that is left while it asks, end like that.
        if failure != "net::ERR_ABORTED":
            self.wrongs.append(f"failed: {url} {failure}")

    def _asked(self, url: str) -> None:
        if not url.startswith((self.address + "/", "data:")):
            self.wrongs.append(f"another host: {url}")


class Visitors:
    """Let people with one browser come to a house, signed in once for each role.

    Windows are used again, for one costs more than a page; who comes brings cookies of their own.
    """

    def __init__(self, browser: Browser, house: House) -> None:
        self._browser = browser
        self.house = house
        self._sessions: dict[Role, Any] = {}
        self._screens: dict[bool, Any] = {}
        self._windows: dict[tuple[bool, bool], list[Visitor]] = {}

    @contextmanager
    def visitor(
        self,
        role: Role | None = Role.STAFF,
        view: View = VIEWS[0],
        language: str = "da",
        address: str = "",
    ) -> Iterator[Visitor]:
        """Yield somebody with a browser of their own.

        `role`: as whom they are signed in; None for not at all; `view`: how they look at
        pages; `address`: where they come to; empty for the house.
        """
        where = address or self.house.address
        cookies = [] if role is None else [*self._session(role)]
        cookies += [] if address else self.screen(scripts=True)
        cookies.append({"name": "doorctl-language", "value": language, "url": where})
        free = self._windows.setdefault((view.scripts, view.touch), [])
        visitor = free.pop() if free else self._opened(view)
        context = visitor.page.context
        try:
            visitor.address = where
            visitor.wrongs.clear()
            visitor.resize(view.width, view.height)
            scheme: Literal["dark", "light"] = "dark" if view.dark else "light"
            visitor.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            context.add_cookies(cookies)
            yield visitor
            for page in context.pages:
                if page is not visitor.page:
                    page.close()
            # Nothing asks or moves on a picture, and the window's process stays.
            visitor.page.goto(f"{self.house.address}/static/icon.svg")
            context.clear_cookies()
        except BaseException:
            context.close()
            raise
        free.append(visitor)

    def _opened(self, view: View) -> Visitor:
        context = self._browser.new_context(java_script_enabled=view.scripts, has_touch=view.touch)
        context.set_default_timeout(LIMIT_MS)
        visitor = Visitor(self.house.address, context.new_page(), view.touch)
        visitor.watch()
        return visitor

    def screen(self, *, scripts: bool) -> Any:
        """Return what the browser of the screen at the door keeps once it was begun."""
        if scripts not in self._screens:
            # Not in each visitor's: Chromium now and then hangs where such a page is closed.
            context = self._browser.new_context(java_script_enabled=scripts)
            opened = context.new_page()
            opened.goto((self.house.branch.config.storage.directory / "screen.html").as_uri())
            if not scripts:
                opened.click("button")
            opened.wait_for_url(f"{self.house.address}/panel")
            self._screens[scripts] = context.cookies()
            context.close()
        return self._screens[scripts]

    def _session(self, role: Role) -> Any:
        """Return a session's cookies; a form that asks for a fresh sign-in takes no older one."""
        began_s, cookies = self._sessions.get(role, (0.0, ()))
        if not cookies or time.monotonic() - began_s > FRESH_MS / 2000:
            began_s = time.monotonic()
            with self.visitor(None) as visitor:
                sign_in(visitor, role)
                cookies = visitor.page.context.cookies()
            self._sessions[role] = began_s, cookies
        return cookies


def sign_in(
    visitor: Visitor,
    name: Role | str,
    password: str = PASSWORD,
    leads: str = "/now",
    code: str = "",
) -> None:
    """Sign in by mouse, as a role's account or another one."""
    visitor.go("/sign-in")
    visitor.page.fill("#name", name.value if isinstance(name, Role) else name)
    visitor.page.fill("#password", password)
    if code:
        visitor.page.fill("#code", code)
    visitor.page.click("main button.button-primary")
    visitor.page.wait_for_url(f"**{leads}")
