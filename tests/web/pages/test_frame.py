"""What every page has: its frame, its templates, the handbook, and where somebody comes back to.

Bug (benchmark): web compiled each page at its first visit and kept the compiler's memory: 65.6 MB
instead of 62.4 with the rest of that round.
"""

from __future__ import annotations

import asyncio
import re
import weakref
from dataclasses import dataclass, field, replace
from html import unescape
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import TemplateNotFound
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.testclient import TestClient

from doorctl.accounts.account import Person
from doorctl.accounts.roles import Permission, Role
from doorctl.accounts.session import Token
from doorctl.core.errors import InputError, NotRunningError, StoreError, StuckError
from doorctl.lookup.app import App
from doorctl.web.addresses import LONGEST_QUERY, own_path, page_of, path_of
from doorctl.web.alarms import StandingAlarms
from doorctl.web.application import application as application_of
from doorctl.web.controller import GAPS
from doorctl.web.forms import parsed
from doorctl.web.frame import Frame, PageRequest
from doorctl.web.headers import ALWAYS
from doorctl.web.page_pool import MOST_AT_ONCE, MOST_IN_LINE, SignInQueue
from doorctl.web.rendering import STATIC, WEB, Templates
from doorctl.web.shared_pages import handbook
from doorctl.web.staff.now import now_pages
from tests.docs.handbook import NAMES
from tests.services.branches import initialised
from tests.web.addresses import addresses
from tests.web.pages.doorstep import NAME, RIGHT, WRONG, Doorstep
from tests.web.pages.staging import NOWHERE, FakeRefused, FakeSessions, browser, browser_of, frame

KINDS = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml; charset=utf-8",
    ".txt": "text/plain; charset=utf-8",
    ".md": "text/markdown; charset=utf-8",
    ".woff2": "font/woff2",
}


def pages(around: Frame) -> list[BaseRoute]:
    """Return a page for those who may see the log, one that fails and one that takes a form."""

    async def shown(asked: PageRequest) -> Response:
        """Show any page."""
        return asked.page("refused.html")

    async def failing(_asked: PageRequest) -> Response:
        """Fail."""
        raise StoreError("visits.db can't be read: <script>")

    async def silent(_asked: PageRequest) -> Response:
        """Ask a door that does not run."""
        raise NotRunningError("the door process does not answer on /run/doorctl/door.sock")

    async def stuck(_asked: PageRequest) -> Response:
        """Wait in vain."""
        raise StuckError("the disk does not answer; it may be done yet, look before you try again")

    async def taking(asked: PageRequest) -> Response:
        """Take a form."""
        form = await asked.form()
        if not form.text("why"):
            raise InputError("say why")
        return asked.done("/log", "told")

    return [
        around.guarded("/log", shown, Permission.SEE_LOG),
        around.guarded("/log/stuck", stuck, Permission.SEE_LOG, methods=("POST",)),
        around.guarded("/silent", silent, Permission.SEE_LOG, methods=("POST",)),
        around.guarded("/failing", failing, Permission.SEE_LOG),
        around.guarded("/taking", taking, Permission.OPEN_ONCE, methods=("POST",)),
        around.guarded("/taking/{number}", taking, Permission.OPEN_ONCE, methods=("POST",)),
    ]


def visitor(refused: FakeRefused, role: Role = Role.VIEWER) -> TestClient:
    """Return a browser whose refusals are kept."""
    around = frame(refused=refused)
    client = browser_of(around, pages(around))
    client.cookies.set("doorctl", role.value)
    return client


def test_what_a_role_was_refused_goes_on_record() -> None:
    """Who, the route and the permission; nothing of the address or of the form, nor what it may."""
    refused = FakeRefused()
    client = visitor(refused)
    client.post("/taking/0101701234?card=0101701234", data={"why": "0101701234"})
    client.get("/log")
    visitor(refused, Role.STAFF).post("/taking/7", data={"why": ""})
    browser(pages, role=None).get("/log")

    assert refused.noted == [("viewer", "/taking/{number}", Permission.OPEN_ONCE)]


def test_a_record_that_fails_lets_nobody_in() -> None:
    """A full disk changes nothing of a refusal."""
    answer = visitor(FakeRefused(broken=True)).post("/taking/7", data={"why": "x"})

    assert answer.status_code == 403


def test_a_fault_is_told_and_escaped() -> None:
    """An error's sentence is shown, as text."""
    answer = browser(pages).get("/failing")

    assert answer.status_code == 503
    assert "visits.db can&#39;t be read: &lt;script&gt;" in answer.text


def test_a_disk_that_does_not_answer() -> None:
    """Whoever waited is told in their own language what to do, and a machine when to ask again."""
    answer = browser(pages).post("/log/stuck")

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "30")
    assert "Det tager for lang tid lige nu." in answer.text
    assert "Vent et halvt minut" in answer.text
    assert "look before you try again" in answer.text
    plain = browser(pages).get("/failing")
    assert "retry-after" not in plain.headers
    assert "Vent et halvt minut" not in plain.text


def test_a_door_that_does_not_run() -> None:
    """A librarian is told in Danish whom to call; sockets and units are folded away.

    Bug (outside look): where the door did not run a librarian was told of sockets, in English;
    alerts kept room for an icon that was not there.
    """
    text = browser(pages).post("/silent").text
    told, technical = text.split("<details>")

    assert "Døren kan ikke nås. Intet er ændret." in told
    assert "Ring til IT: 87\u00a065\u00a043\u00a021." in told
    assert "door.sock" not in told
    assert "door.sock" in technical


def test_the_way_back_is_a_page() -> None:
    """From a form that failed it leads to the page it stood on: its own address can't be shown.

    Bug (stranger's review): "back" from a form that failed led to a page that does not exist.
    """
    client = browser(pages)

    assert '<a href="/log">Tilbage</a>' in client.post("/log/stuck").text
    assert '<a href="/">Tilbage</a>' in client.post("/taking", data={"why": ""}).text
    assert '<a href="/failing">Tilbage</a>' in client.get("/failing").text


def test_a_form_that_makes_no_sense() -> None:
    """What was typed wrong is 422; what was done is told on the next page."""
    client = browser(pages)

    assert client.post("/taking", data={"why": " "}).status_code == 422
    assert client.post("/taking", data={"why": "x"}).headers["location"] == "/log?done=told"


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "same-origin, cross-site"},
    ],
)
def test_another_site_changes_nothing(headers: dict[str, str]) -> None:
    """A form that another site sent is refused before anybody is asked for."""
    answer = browser(pages).post("/taking", data={"why": "x"}, headers=headers)

    assert answer.status_code == 403
    assert "another site" in answer.text


def test_an_older_browser_is_judged_by_origin() -> None:
    """Without Sec-Fetch-Site the origin has to be ours, and there has to be one."""
    client = browser(pages)
    del client.headers["sec-fetch-site"]

    def status(**headers: str) -> int:
        return client.post("/taking", data={"why": "x"}, headers=headers).status_code

    assert status(Origin="http://testserver") == 303
    assert status(Origin="http://elsewhere") == 403
    assert status(Origin="null") == 403
    assert status() == 403


def test_every_answer_has_the_headers() -> None:
    """No page can be framed, sniffed, kept or made to load anything of others."""
    other = {"Origin": "https://elsewhere.example"}
    for role in (Role.STAFF, None):
        answer = browser(pages, role=role).get("/log", headers=other)
        assert {name: answer.headers[name] for name in ALWAYS} == dict(ALWAYS)
        assert answer.headers["cache-control"] == "no-store"
        policy = answer.headers["content-security-policy"].split("; ")
        assert {"default-src 'none'", "object-src 'none'", "base-uri 'none'"} <= set(policy)
        assert "unsafe" not in answer.headers["content-security-policy"]
        assert not [name for name in answer.headers if name.startswith("access-control-")]


def test_over_https_the_language_belongs_to_this_host() -> None:
    """Its cookie is named and sent as the session's is, and counts as before."""
    around = frame()
    around.encrypted = True
    client = browser_of(around, pages(around))
    cookie = client.post("/language", data={"language": "en"}).headers["set-cookie"]
    client.cookies.set("__Host-doorctl", Role.STAFF.value)

    assert cookie.startswith("__Host-doorctl-language=en;")
    assert {"secure", "path=/"} <= set(cookie.lower().split("; "))
    assert '<html lang="en">' in client.get("/log").text


def test_a_language_that_nobody_knows() -> None:
    """Nothing is kept, and nobody is led to another site."""
    answer = browser(pages).post("/language", data={"language": "x;", "next": "//evil.example"})

    assert answer.headers["location"] == "/"
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("path", ["//x", "/\\x", "https://x", "", "/a\\b", "/a\nb", "javascript:1"])
def test_only_own_paths_are_gone_to(path: str) -> None:
    """What is no path of this site leads to its start."""
    assert own_path(path) == "/"


def test_a_static_file_may_be_kept() -> None:
    """By its versioned address for ever, else for a day; nothing beside the folder is served."""
    client = browser(pages)

    assert "immutable" in client.get("/static/doorctl.css?v=1").headers["cache-control"]
    assert "immutable" not in client.get("/static/doorctl.css").headers["cache-control"]
    for folder in ("", "vendor", "vendor/"):
        assert client.get(f"/static/{folder}").status_code == 404
    assert client.get("/static/.git/config").status_code == 404
    assert client.get("/static/../templates/layout.html").status_code == 404
    assert client.get("/static/%2e%2e/templates/layout.html").status_code == 404


def test_a_static_file_says_what_it_is() -> None:
    """By its kind, and where that is text by UTF-8, which no browser has to guess."""
    client = browser(pages)
    told = {
        path.suffix: client.get(f"/static/{path.relative_to(STATIC)}").headers["content-type"]
        for path in STATIC.rglob("*.*")
    }

    assert told == KINDS


def test_a_field_that_is_sent_twice_counts_once() -> None:
    """The first one, and what stands in the address never counts as a form's."""
    assert parsed(b"why=one&why=two").text("why") == "one"
    answer = browser(pages).post("/taking?why=x", data={"why": ""})

    assert answer.status_code == 422


@pytest.mark.parametrize("path", ["/broken", "/v1/broken"])
def test_a_fault_of_ours_is_told_to_nobody(path: str) -> None:
    """No traceback, no text of it: there is no debug mode, for people and for machines."""

    async def broken(_request: Request) -> Response:
        """Fail as a fault of ours does."""
        raise RuntimeError("secret of /var/lib/doorctl")

    missing = frame().missing
    routes = [Route(path, broken)]
    app = application_of(routes, missing=missing, encrypted=False, senders_certified=False)
    answer = TestClient(app, raise_server_exceptions=False).get(path)

    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("name", NAMES)
def test_nobody_has_to_sign_in_for_it(name: str) -> None:
    """Who needs it has no account yet, or stands before a door that is broken."""
    danish, english = (
        browser(lambda _: (), role=None, language=language).get(f"/help/{name}")
        for language in ("da", "en")
    )

    assert (danish.status_code, english.status_code) == (200, 200)
    assert "Håndbogen" in danish.text or name == "index"
    assert 'lang="en"' in english.text
    assert danish.text.count("<h1") == english.text.count("<h1") == 1


def test_its_contents_are_its_front_page() -> None:
    """Each page is one click away."""
    front = browser(lambda _: (), role=None).get("/help").text

    assert [name for name in NAMES if f'href="/help/{name}"' not in front] == ["index"]


@pytest.mark.parametrize("language", ["da", "en"])
def test_the_handbooks_gaps_are_filled_from_the_configuration(language: str) -> None:
    """Notice, record and assessment name controller, processors, adviser, basis and days.

    What is filled in is text; of what nothing is set, the gap stays.
    """
    gaps = GAPS[language]
    _, text = handbook(language, "dpo") or ("", "")
    own = replace(NOWHERE.config.controller, name="A&B, CVR 1", phone="")
    half = App(replace(NOWHERE.config, controller=own), NOWHERE.clock)
    asking = (browser(lambda _: (), app, None, language) for app in (NOWHERE, half))
    whole, lacking = (one.get("/help/dpo").text for one in asking)

    assert [gap for gap in gaps.values() if gap not in text] == []
    assert [gap for gap in gaps.values() if gap in whole] == []
    assert "bibliotek@demokommunen.example" in whole
    assert [name for name, gap in gaps.items() if gap in lacking] == ["controller"]
    assert re.search("A&amp;B (registrerer|records)", lacking)


@pytest.mark.parametrize(
    "name", ["none", "..%2Fda%2Findex", "index.md", "%00", "a%2Fb", "\u00e5", "a" * 300]
)
def test_nothing_else_is_served_by_it(name: str) -> None:
    """An address that names no page is no file of this machine.

    Bug (a second reading): a name that is too long for a file was a fault of the server.
    """
    assert browser(lambda _: (), role=None).get(f"/help/{name}").status_code == 404


def test_a_page_of_staff_leads_to_its_section() -> None:
    """Whoever asks for help on a page reads about that page first; others get the contents."""
    signed_in, stranger = browser(lambda _: ()), browser(lambda _: (), role=None)

    assert 'href="/help/librarian#help"' in signed_in.get("/help").text
    assert 'class="top-help" href="/help"' in stranger.get("/help").text


RAW = re.compile(r'([\w"<>]+) ?\| ?safe\b|autoescape|Markup')


class Row:
    """What a page shows; one can see when it is gone."""


def test_what_somebody_wrote_is_text_on_every_page() -> None:
    """Templates escape all values but these: a picture, a line's end and the handbook, all ours."""
    pages = (
        (path.name, path.read_text("utf-8")) for path in (WEB / "templates").glob("[!d]*.html")
    )
    raw = {(name, value) for name, page in pages for value in RAW.findall(page)}

    ours = {("me_factor.html", "picture"), ("help.html", "text")}
    assert raw == ours


def test_whoever_opens_a_page_first_does_not_wait_for_its_template(tmp_path: Path) -> None:
    """Once all are compiled their files are not looked at again; the demo's are left alone."""
    for name in ("now.html", "demo.html"):
        (tmp_path / name).write_text("{{ word }}", encoding="utf-8")
    templates = Templates(directory=tmp_path)

    templates.compile_all()
    for path in tmp_path.iterdir():
        path.unlink()

    assert templates.render("now.html", {"word": "<b>"}) == "&lt;b&gt;"
    with pytest.raises(TemplateNotFound):
        templates.render("demo.html", {"word": "<b>"})


def test_a_page_that_was_sent_leaves_nothing_behind(tmp_path: Path) -> None:
    """Macros and what they show hold each other until somebody collects them.

    Bug (benchmark): some pages of rows waited for the collector, 3 MB of web.
    """
    page = "{% macro shown() %}{{ row }}{% endmacro %}{{ shown() }}"
    (tmp_path / "now.html").write_text(page, encoding="utf-8")
    row = Row()
    gone = weakref.ref(row)

    Templates(directory=tmp_path).render("now.html", {"row": row})
    del row

    assert gone() is None


SENT_BY_GET = re.compile(r'<form method="get".*?</form>', re.DOTALL)
NAMED = re.compile(r'\bname="(\w+)"|(?:field|choice|radio|tick)\("(\w+)"')

CHOICE = re.compile(r'action="/language".*?name="next" value="([^"]*)"', re.DOTALL)

HARMLESS = {
    *("day", "ends", "month", "span", "from", "to", "since", "until", "around"),
    *("outcome", "reason", "by", "action", "sign_ins"),
    *("attempt", "before", "page", "preset", "phones"),
    *("account", "next", "done", "error", "state", "code"),
}
"""Days and times, choices from lists, numbers of our own; who of staff; and the way itself."""


FILTERS = (
    *("", "?attempt=5", "?day=2026-11-25&outcome=refused&reason=ok&reason=banned"),
    *("?from=&to=21%3A30", "?reason=%C3%B8+%26+%25"),
)


def wanted(location: str) -> str:
    """Return where a sign-in page is told to lead to."""
    assert urlsplit(location).path == "/sign-in"
    return parse_qs(urlsplit(location).query)["next"][0]


@pytest.mark.parametrize(
    ("address", "back"),
    [
        *((f"/log{query}", f"/log{query}") for query in FILTERS),
        ("/log?done=added&day=2026-11-25", "/log?day=2026-11-25"),
        ("/log?done=x", "/log"),
        (f"/log?x={'9' * LONGEST_QUERY}", "/log"),
        ("/log?%00", "/log?%00="),
        ("/log?next=//evil.example", "/log?next=%2F%2Fevil.example"),
    ],
)
def test_one_comes_back_to_what_one_asked_for(address: str, back: str) -> None:
    """The attempt, the days and the filter too, not the page alone; and to no other site.

    What a form did is not told again, and what is longer than any address of ours is left out. A
    page that asks by itself goes to sign in, and comes back to the same.
    """
    client = Doorstep().browser()
    location = client.get(address).headers["location"]
    by_itself = client.get(address, headers={"HX-Request": "true"}).headers["hx-redirect"]
    form = {"name": NAME, "password": RIGHT, "next": wanted(location)}

    assert wanted(location) == wanted(by_itself) == back
    assert client.post("/sign-in", data=form).headers["location"] == back


def test_no_address_holds_a_patrons_number_or_name() -> None:
    """What is asked for by address goes on to the sign-in page; cards and names go by POST."""
    code = "".join(path.read_text("utf-8") for path in (WEB / "staff").glob("*.py"))
    pages = "".join(path.read_text("utf-8") for path in (WEB / "templates").glob("*.html"))
    by_address = set(re.findall(r'\brequest\.quer(?:y\(|ied, )"(\w+)"', code))
    for form in SENT_BY_GET.findall(pages):
        by_address |= {one or other for one, other in NAMED.findall(form)}

    assert {"attempt", "around", "reason", "account"} <= by_address
    assert by_address <= HARMLESS


def in_english(client: TestClient, page: str) -> str:
    """Choose English on a page; return what it leads to, which is there."""
    (found,) = CHOICE.findall(page)
    form = {"language": "en", "next": unescape(found)}
    location = client.post("/language", data=form).headers["location"]
    shown = client.get(location)
    assert shown.status_code == 200
    assert '<html lang="en">' in shown.text
    return location


@pytest.mark.parametrize(
    "address",
    ["/log?day=2026-11-25&reason=ok", "/log", "/sign-in?done=out&next=/bans", "/me?done=changed"],
)
def test_a_language_is_chosen_without_losing_the_page(address: str) -> None:
    """It is the same page with the same filter, the same way on and the same news.

    Bug (every page compared before and after a change): a language chosen on the door log led
    to the start: the page's own `address` hid the frame's.
    """
    client = Doorstep().signed_in()

    assert in_english(client, client.get(address).text) == address


def test_a_language_is_chosen_on_what_a_form_led_to() -> None:
    """The page of the form is shown: the form's own address can't be, and it is not sent twice."""
    step = Doorstep()
    inside, outside = step.signed_in(), step.browser()
    own = inside.post("/me", data={"old": WRONG, "new": "x", "again": "x"})
    entrance = outside.post("/sign-in", data={"name": NAME, "password": WRONG, "next": "/log?a=b"})

    assert (own.status_code, in_english(inside, own.text)) == (422, "/me")
    assert entrance.status_code == 403
    assert in_english(outside, entrance.text) == "/sign-in?next=/log%3Fa%3Db"


def test_every_form_stands_on_a_page(tmp_path: Path) -> None:
    """Whatever address a form is sent to, there is a page to come back to."""
    known = set(addresses(initialised(tmp_path)))
    sent = [path for method, path in known if method == "POST" and "/panel" not in path]
    pages = {path: page_of(asked_for("POST", path)) for path in sent}

    assert pages["/bans/{number}/lift"] == "/bans"
    assert pages["/me/everywhere"] == "/me"
    assert pages["/log/reveal"] == "/log"
    assert {page for page in pages.values() if ("GET", page) not in known} == set()


def asked_for(method: str, path: str) -> Request:
    """Return a asked_for."""
    return Request({"type": "http", "method": method, "path": path, "query_string": b"a=b"})


def test_a_line_that_is_too_long_is_refused() -> None:
    """Who comes then is told to come again, and one that ends makes room."""

    async def play() -> None:
        """Fill the line, and empty it."""
        turns, over = SignInQueue(), asyncio.Event()

        async def hold() -> None:
            """Have a turn until all is over."""
            async with turns.slot():
                await over.wait()

        held = [asyncio.create_task(hold()) for _ in range(MOST_AT_ONCE + MOST_IN_LINE)]
        await asyncio.sleep(0)
        with pytest.raises(StuckError):
            await hold()
        over.set()
        await asyncio.gather(*held)
        async with turns.slot():
            pass

    asyncio.run(play())


@dataclass
class Crowd:
    """Requests that each keep a turn until it is ended; `served` had one, in order."""

    turns: SignInQueue = field(default_factory=SignInQueue)
    served: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    _over: asyncio.Event = field(default_factory=asyncio.Event)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    async def come(self, *hosts: str) -> None:
        """Have requests come from these addresses."""
        self._tasks += [asyncio.create_task(self._ask(host)) for host in hosts]
        await rest()

    async def end(self, count: int = 1) -> None:
        """End the turn that is had, and the next ones."""
        for _ in range(count):
            self._over.set()
            await rest()

    async def leave(self) -> None:
        """Have the last request that came given up."""
        self._tasks[-1].cancel()
        await rest()

    async def _ask(self, host: str) -> None:
        try:
            async with self.turns.slot(host):
                self.served.append(host)
                self._over.clear()
                await self._over.wait()
        except StuckError:
            self.refused.append(host)


async def rest() -> None:
    """Let every task that can go on go on."""
    for _ in range(4):
        await asyncio.sleep(0)


NEW_ADDRESS = "203.0.113.9"
BOTS = [f"198.51.100.{number}" for number in range(24)]


def test_whoever_asks_without_end_waits_behind_everybody_else() -> None:
    """Bug (second penetration test, 2.8): a new browser among 24 bots got a turn in 0 of 10.

    Each bot has had a turn, and asks again at once for as many as there is room for.
    """

    async def play() -> None:
        """Fill the line, and come new."""
        crowd = Crowd()
        await crowd.come(*BOTS)
        await crowd.end(len(BOTS))
        await crowd.come(*(BOTS * MOST_IN_LINE))
        assert set(crowd.refused) <= set(BOTS)
        before = len(crowd.served)

        await crowd.come(NEW_ADDRESS)
        await crowd.end()
        assert crowd.served[before:] == [NEW_ADDRESS]
        assert NEW_ADDRESS not in crowd.refused
        # Then it is one of those that had a turn, behind all of them.
        await crowd.come(NEW_ADDRESS)
        await crowd.end(len(BOTS) - 1)
        await crowd.end(2)
        assert NEW_ADDRESS in crowd.served[before + 1 :]

    asyncio.run(play())


@given(st.lists(st.sampled_from([*BOTS[:5], "end"]), max_size=60))
def test_a_new_address_has_the_next_turn_whoever_waits(before: list[str]) -> None:
    """Whatever came and ended before from addresses that had a turn each."""

    async def play() -> None:
        """Have them come and end, and come new."""
        crowd = Crowd()
        await crowd.come(*BOTS[:5])
        await crowd.end(5)
        for step in before:
            await (crowd.end() if step == "end" else crowd.come(step))
        await crowd.come(NEW_ADDRESS)
        if crowd.served[-1] != NEW_ADDRESS:
            await crowd.end()
        assert crowd.served[-1] == NEW_ADDRESS
        await crowd.end(MOST_IN_LINE + len(before) + 2)
        assert sorted(crowd.served + crowd.refused) == sorted(
            [*BOTS[:5], NEW_ADDRESS, *(step for step in before if step != "end")]
        )

    asyncio.run(play())


def test_one_that_gave_up_holds_nobody_up() -> None:
    """Neither while it waited, nor in the moment in which its turn came."""

    async def play() -> None:
        """Give up while waiting, and while being let in."""
        crowd = Crowd()
        await crowd.come("first", "second")
        await crowd.leave()
        await crowd.come("third")
        await crowd.end()
        assert crowd.served == ["first", "third"]

        waits = asyncio.create_task(crowd.turns._come("fourth"))  # noqa: SLF001 - in one step
        await rest()
        crowd._over.set()  # noqa: SLF001 - as said
        await asyncio.sleep(0)
        waits.cancel()
        await rest()
        await crowd.come("fifth")
        assert crowd.served[-1] == "fifth"

    asyncio.run(play())


def test_a_host_with_a_path_in_it_is_no_path() -> None:
    """What a page may be asked for is judged by the path that it is found by."""
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/accounts",
        "query_string": b"",
        "scheme": "http",
        "server": ("127.0.0.1", 8080),
        "headers": [(b"host", b"x/me?")],
    }
    assert path_of(Request(scope)) == "/accounts"


class FailingSessions(FakeSessions):
    """Sessions whose file is gone."""

    def whose(self, token: Token, /, **_: bool) -> Person | None:
        """Fail, with what only a technician should read."""
        raise StoreError(f"/var/lib/doorctl/branch.db can't be used for {token}")


def test_a_stranger_learns_nothing_of_files(app: App, alarms: StandingAlarms) -> None:
    """A fault is told in full to those alone who are signed in.

    Bug (attack review): a fault in a page told its text to people who are not signed in.
    """
    answer = browser(lambda around: now_pages(around, alarms), app, sessions=FailingSessions()).get(
        "/now"
    )

    assert answer.status_code == 503
    assert "branch.db" not in answer.text
