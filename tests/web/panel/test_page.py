"""The page of the screen at the door, without a browser: what it says, to whom, and its keys.

Bug (penetration test): the secret of the screen at the door was the same for ever.

Bug (penetration test): any program of the Pi typed PIN digits on the screen's address, or took the
screen's place.

Bug (ASVS 5.0, read whole): the screen's secret stood in an address, and so in a history.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from itertools import count
from pathlib import Path

import pytest

from doorctl.access.panel import (
    AGAIN,
    CALL,
    CODES,
    HELP,
    NO_CALL,
    NOT_PROVED,
    OURS,
    UNREADABLE,
    Kind,
    PanelState,
)
from doorctl.access.patron import SENTENCES
from doorctl.config import load
from doorctl.core.errors import ConfigError
from doorctl.core.language import languages
from doorctl.doord.controller import panel_rules
from doorctl.web.headers import POLICY
from doorctl.web.screen import SCREEN, offered, opened_with
from tests.web.panel.screens import IDLE, PHONE, SHOWING, STATES, Stage, showing

THERE = {"lang": "en", "since": "4"}
ATTEMPTS = count(100)


class Texts(HTMLParser):
    """All that somebody reads, and whatever a policy would block."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.text = ""
        self.inline: list[str] = []
        self._hidden = 0
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what is inline; what stands in a template is not read."""
        self._hidden += tag in {"template", "script", "title"}
        names = dict(attrs)
        if "style" in names or tag == "style" or (tag == "script" and "src" not in names):
            self.inline.append(tag)
        self.inline += [name for name in names if name.startswith("on")]

    def handle_endtag(self, tag: str) -> None:
        """Note the end of a template."""
        self._hidden -= tag in {"template", "script", "title"}

    def handle_data(self, data: str) -> None:
        """Read on."""
        if not self._hidden:
            self.text += data


@pytest.fixture
def stage() -> Iterator[Stage]:
    """A page with keys and a voice, over a door that shows the idle screen."""
    with Stage() as made:
        made.door.show(IDLE)
        yield made


def said(stage: Stage, state: PanelState, language: str = "da") -> str:
    """Return all that the page says of a state, its blanks as one."""
    page = Texts(shown(stage, state, language)).text
    return " ".join(page.split())


def shown(stage: Stage, state: PanelState, language: str = "da") -> str:
    """Return the page once it shows a state, of an attempt of its own."""
    attempt = next(ATTEMPTS)
    stage.door.show(replace(state, attempt=attempt))
    return look(stage, f'data-attempt="{attempt}"', lang=language, since=str(attempt))


def look(stage: Stage, until: str, **query: str) -> str:
    """Return the page once it holds something: it hears of a state a moment after the door."""
    browser = stage.browser()
    for _ in range(500):
        page = browser.get("/panel", params=query).text
        if until in page:
            return page
    raise AssertionError(f"the page never showed {until}")


def test_the_idle_screen_says_what_to_do(stage: Stage) -> None:
    """How to come in, and today's hours from the first to the last."""
    text = said(stage, IDLE)

    assert "Scan dit kort" in text
    assert "derefter din pinkode." in text
    assert "Åbent i dag 07.00\N{EN DASH}22.00" in text


def test_a_day_ends_at_24(stage: Stage) -> None:
    """Open until midnight is not open until the midnight that was."""
    evening = replace(IDLE, hours=((420, 1440),))

    assert "Åbent i dag 07.00\N{EN DASH}24.00" in said(stage, evening)


@pytest.mark.parametrize(
    ("name", "danish", "english"),
    [
        ("opens today", "Åbner igen i dag kl. 07.00", "Opens again today at 07:00"),
        ("opens tomorrow", "Åbner igen i morgen kl. 07.00", "Opens again tomorrow at 07:00"),
        ("opens on Monday", "Åbner igen mandag kl. 10.00", "Opens again on Monday at 10:00"),
        ("closing", "Lukker om 12 minutter", "Closing in 12 minutes"),
        ("closing in a minute", "Lukker om 1 minut", "Closing in 1 minute"),
        ("staffed", "Kom indenfor", "Come in"),
        ("typing a code", "Har du et kort? Scan det først.", "Do you have a card? Scan it first."),
        ("welcome", "Døren er låst op \N{EN DASH} gå ind nu.", "The door is unlocked: go in now."),
        ("welcome, locked", "Velkommen", "Welcome"),
        ("welcome all", "Hvor mange har du med?", "Press 1 to 4, or 0."),
        ("welcome wrong", "Det tal gælder ikke her.", "Press 0 to 9."),
        ("no code", "Scan kortet først", "Scan the card first"),
        ("refused 4", "sig kode 4", "say code 4"),
        ("refused 5", "personale i dag kl. 10.00\N{EN DASH}15.00.", "are here today 10:00"),
        ("staff tomorrow", "personale i morgen kl. 10.00", "are here tomorrow 10:00"),
        ("staff on Sunday", "personale søndag kl. 10.00", "are here on Sunday 10:00"),
        ("refused before", "Vis igen", "Show again"),
        ("help", "Ved fare: ring", "Call for help?"),
        ("called", "Biblioteket får besked", "We are telling the library"),
        ("refused 2", "Vend det og prøv igen.", "Turn it and try again."),
    ],
)
def test_it_speaks_danish_and_english(stage: Stage, name: str, danish: str, english: str) -> None:
    """Each in its own words, times as each writes them."""
    assert danish in said(stage, STATES[name])
    assert english in said(stage, STATES[name], "en")


@pytest.mark.parametrize("language", ["da", "en"])
def test_a_refusal_tells_the_queue_no_reason(stage: Stage, language: str) -> None:
    """A code and a number to call: none of the words that staff read, and no other code's text."""
    number = PHONE.replace(" ", "\N{NO-BREAK SPACE}")
    told = [" ".join(sentence) for sentence in SENTENCES.values()]
    shaming = {word for sentence in told for word in re.findall(r"\w{6,}", sentence.lower())}
    kept = shaming - {"biblioteket", "library", "kunne", "læses", "kortet", "pinkode", "person"}

    for code in sorted(set(CODES.values()) - {OURS, UNREADABLE}):
        page = shown(stage, STATES[f"refused {code}"], language)
        text = Texts(page).text
        assert number in text
        assert not [word for word in kept if word in text.lower()]
    same = [
        said(stage, STATES[f"refused {code}"]).replace(f"kode {code}", "") for code in (4, 5, 6)
    ]
    assert len(set(same)) == 1


def test_what_is_not_proved_invites_another_try(stage: Stage) -> None:
    """One sentence for an unknown card and a wrong PIN, and where help is to be had."""
    text = said(stage, PanelState(Kind.REFUSED, 5, code=NOT_PROVED))

    assert "Kort og pinkode passer ikke sammen Card and PIN did not match Scan kortet" in text
    assert "igen. Efter tre fejl: vent" in text


@pytest.mark.parametrize("name", STATES)
def test_every_state_has_its_screen(stage: Stage, name: str) -> None:
    """A headline, a picture that is there, nothing untranslated, nothing that the policy blocks."""
    page = shown(stage, STATES[name])
    texts = Texts(page)

    assert not texts.inline
    picture = re.search(r'src="(/static/panel_\w+\.svg)\?', page)
    assert picture is not None
    assert stage.browser().get(picture[1]).headers["content-type"].startswith("image/svg+xml;")
    assert "{" not in texts.text
    assert 'lang="da"' in page


def test_the_page_and_its_files_follow_the_policy(stage: Stage) -> None:
    """Nothing inline, nothing of another host, nothing kept by the browser."""
    answer = stage.browser().get("/panel")

    assert answer.headers["content-security-policy"] == POLICY
    assert answer.headers["cache-control"] == "no-store"
    for name in ("panel.css", "panel.js"):
        assert f"/static/{name}?v=" in answer.text
        assert stage.browser().get(f"/static/{name}").status_code == 200


def test_a_name_of_a_branch_is_text() -> None:
    """What stands in the configuration is escaped."""
    with Stage(replace(SHOWING, branch=replace(SHOWING.branch, name="<b>Øst</b>"))) as stage:
        assert "&lt;b&gt;Øst&lt;/b&gt;" in stage.browser().get("/panel").text


def test_without_javascript_it_asks_again(stage: Stage) -> None:
    """Every two seconds, in the language that was chosen."""
    page = stage.browser().get("/panel", params=THERE).text

    assert (
        '<noscript><meta http-equiv="refresh" content="2; url=/panel?lang=en&amp;since=4">' in page
    )
    own = stage.browser().get("/panel").text
    assert '<noscript><meta http-equiv="refresh" content="2; url=/panel">' in own


def test_the_language_goes_back_when_the_patron_is_done(stage: Stage) -> None:
    """Another attempt has ended since it was chosen: the next one finds the branch's own."""
    assert 'html lang="en"' in stage.browser().get("/panel", params=THERE).text
    stage.door.show(replace(IDLE, attempt=5))

    assert 'html lang="da"' in look(stage, 'data-attempt="5"', **THERE)


def test_an_unknown_language_is_the_branchs_own(stage: Stage) -> None:
    """Whatever stands in the address."""
    for code in ("xx", "../da", "<b>", ""):
        assert 'html lang="da"' in stage.browser().get("/panel", params={"lang": code}).text


def test_a_door_that_does_not_answer_is_out_of_order(stage: Stage) -> None:
    """The page itself comes, and says whom to call."""
    stage.door.go_away()

    assert "Døren er ude af drift" in look(stage, 'data-kind="out_of_order"')


@pytest.mark.parametrize(
    ("host", "at", "headers"),
    [
        ("192.0.2.7", "127.0.0.1:8080", {}),
        ("127.0.0.1", "branch.example:8080", {}),
        ("127.0.0.1", "evil.localhost:8080", {}),
        ("127.0.0.1", "evillocalhost:8080", {}),
        ("127.0.0.1", "localhost.evil.example:8080", {}),
        ("127.0.0.1", "127.0.0.1:8080", {"X-Forwarded-For": "192.0.2.7"}),
        ("127.0.0.1", "127.0.0.1:8080", {"Via": "1.1 proxy"}),
    ],
)
def test_who_is_elsewhere_sees_nothing(
    stage: Stage, host: str, at: str, headers: dict[str, str]
) -> None:
    """When somebody comes is nobody's business; by panel.elsewhere it may be seen."""
    browser = stage.browser(host, at)

    for path in ("/panel", "/panel/events"):
        assert browser.get(path, headers=headers).status_code == 403
    with Stage(showing(elsewhere=True)) as shared:
        assert shared.browser(host, at).get("/panel", headers=headers).status_code == 200


@pytest.mark.parametrize("at", ["127.0.0.1:8080", "localhost:8080", "[::1]:8080"])
@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "::ffff:127.0.0.1"])
def test_this_machine_sees_it(stage: Stage, host: str, at: str) -> None:
    """By each of its names."""
    assert stage.browser(host, at).get("/panel").status_code == 200


def test_a_branch_without_a_telephone_names_none() -> None:
    """The code is told all the same."""
    with Stage(replace(SHOWING, branch=replace(SHOWING.branch, phone=""))) as stage:
        assert "Kontakt biblioteket, og sig kode 4" in said(stage, STATES["refused 4"])


CONFIG = load(Path(__file__).parents[3] / "config" / "demo.toml", environment={})
WITH_PAD = replace(CONFIG, panel=replace(CONFIG.panel, keypad=True))


def test_without_a_list_every_catalogue_is_offered() -> None:
    """The branch's own first."""
    known = languages("en")

    assert list(offered(known, ()).known) == ["en", "da"]


def test_a_list_is_offered_after_the_branchs_own() -> None:
    """In its order, the own language once."""
    assert list(offered(languages("en"), ("da", "en")).known) == ["en", "da"]
    assert list(offered(languages("da"), ("da",)).known) == ["da"]


def test_a_language_without_a_catalogue_is_told() -> None:
    """By its key, with what there is."""
    with pytest.raises(ConfigError, match=r"panel\.languages.*for xx.*da, en"):
        offered(languages("da"), ("xx",))


@pytest.mark.parametrize(("port", "keys"), [("", True), ("/dev/ttyUSB1", False)])
def test_a_keypad_that_is_wired_goes_before_the_screen(port: str, *, keys: bool) -> None:
    """Then the screen has no keys, and the door takes none."""
    config = replace(WITH_PAD, keypad=replace(WITH_PAD.keypad, port=port))

    assert panel_rules(config).keys is keys
    assert not panel_rules(replace(config, panel=CONFIG.panel)).keys


def test_the_screen_is_opened_with_what_stands_in_a_file(tmp_path: Path) -> None:
    """For its owner alone; another at each start of the machine, for another address, or at wish.

    A web process that starts again finds the screen as it was.
    """
    config = load(
        Path(__file__).parents[3] / "config" / "demo.toml",
        [f"storage.directory={tmp_path}", "web.port=8081"],
        {},
    )
    screen = tmp_path / SCREEN
    secret = opened_with(config, "boot-1")
    address = "http://127.0.0.1:8081/panel"
    assert f'<form method="post" action="{address}">' in screen.read_text()
    assert f'<input type="hidden" name="key" value="{secret}">' in screen.read_text()
    assert screen.stat().st_mode & 0o777 == 0o600
    assert len(secret) == 22
    assert opened_with(config, "boot-1") == secret
    after = opened_with(config, "boot-2")
    assert after != secret
    assert opened_with(config, "boot-2") == after

    moved = replace(config, web=replace(config.web, port=8082))
    assert opened_with(moved, "boot-3") != opened_with(config, "boot-3")
    screen.write_text("something else")
    assert opened_with(config, "boot-3") in screen.read_text()
    screen.unlink()
    screen.mkdir()
    assert len(opened_with(config, "boot-3")) == 22


AT_ONCE = {"Accept": "application/json"}
OWN = {"Sec-Fetch-Site": "same-origin"}
ORIGIN = "http://127.0.0.1:8080"


OPENED = {"key": "s3cret"}
"""What `screen.html` sends."""


def sent(key: str, attempt: object = 7) -> dict[str, str]:
    """Return the form of a key."""
    return {"key": key, "attempt": str(attempt)}


@pytest.mark.parametrize("key", "0123456789#*")
def test_a_key_goes_to_the_door(stage: Stage, key: str) -> None:
    """With the attempt that the page showed; the answer says nothing."""
    answer = stage.browser().post("/panel/key", data=sent(key), headers=AT_ONCE)

    assert (answer.status_code, answer.content) == (204, b"")
    assert stage.door.pressed == [(key, 7)]


def test_without_javascript_the_page_comes_back(stage: Stage) -> None:
    """The form leads to the page in the language that was chosen; no digit is in its address.

    Its origin is "null", by our Referrer-Policy.
    """
    form = {**sent("4"), "lang": "en"}
    answer = stage.browser().post("/panel/key", data=form, headers={"Origin": "null"})

    assert answer.status_code == 303
    assert answer.headers["location"] == "/panel?lang=en&since=7"


@pytest.mark.parametrize(
    "form", [sent("a"), sent("47"), sent("4", "x"), {"key": "4"}, {"attempt": "7"}, {}]
)
def test_what_is_no_key_is_refused(stage: Stage, form: dict[str, str]) -> None:
    """The answer repeats nothing of it."""
    answer = stage.browser().post("/panel/key", data=form)

    assert (answer.status_code, answer.text) == (400, "That is no key of the screen.")
    assert stage.door.pressed == []


def test_more_than_a_key_is_not_read(stage: Stage) -> None:
    """A long body is refused before it is looked at."""
    answer = stage.browser().post("/panel/key", content=b"key=1&attempt=7&" + b"x" * 5000)

    assert answer.status_code == 400
    assert stage.door.pressed == []


@pytest.mark.parametrize(
    ("host", "at", "headers"),
    [
        ("192.0.2.7", "127.0.0.1:8080", {}),
        ("::ffff:192.0.2.7", "127.0.0.1:8080", {}),
        ("testclient", "127.0.0.1:8080", {}),
        ("127.0.0.1", "branch.example:8080", {}),
        ("127.0.0.1", "127.0.0.1.branch.example", {}),
        ("127.0.0.1", "127.0.0.1:8080", {"Host": "[::1"}),
        ("127.0.0.1", "127.0.0.1:8080", {"X-Forwarded-For": "192.0.2.7"}),
        ("127.0.0.1", "127.0.0.1:8080", {"Forwarded": "for=192.0.2.7"}),
        ("127.0.0.1", "127.0.0.1:8080", {"Sec-Fetch-Site": "cross-site"}),
        ("127.0.0.1", "127.0.0.1:8080", {"Sec-Fetch-Site": "same-site"}),
        ("127.0.0.1", "127.0.0.1:8080", {"Sec-Fetch-Site": "none"}),
        ("127.0.0.1", "127.0.0.1:8080", {"Origin": "https://branch.example"}),
        ("127.0.0.1", "127.0.0.1:8080", {"Origin": "http://127.0.0.1:9999"}),
    ],
)
@pytest.mark.parametrize("elsewhere", [False, True])
def test_nobody_elsewhere_presses_a_key(
    host: str, at: str, headers: dict[str, str], *, elsewhere: bool
) -> None:
    """Another machine, another name, a proxy, another page: also where the page may be seen."""
    with Stage(showing(elsewhere=elsewhere)) as stage:
        answer = stage.browser(host, at).post("/panel/key", data=sent("4"), headers=headers)

    assert answer.status_code == 403
    assert stage.door.pressed == []


def test_an_older_browser_says_its_origin(stage: Stage) -> None:
    """Without Sec-Fetch-Site the origin counts; without either nobody knows where it is from."""
    browser = stage.browser()
    del browser.headers["Sec-Fetch-Site"]

    assert browser.post("/panel/key", data=sent("4")).status_code == 403
    for other in ("null", "http://127.0.0.1:9999", "https://127.0.0.1:8080"):
        answer = browser.post("/panel/key", data=sent("4"), headers={"Origin": other})
        assert answer.status_code == 403
    told = {**AT_ONCE, "Origin": ORIGIN}
    assert browser.post("/panel/key", data=sent("4"), headers=told).status_code == 204


def test_a_screen_without_keys_has_no_pad() -> None:
    """Where a keypad is wired or nothing was configured."""
    with Stage(showing(keypad=False)) as stage:
        assert 'id="pad"' not in stage.browser().get("/panel").text


@pytest.mark.parametrize("keypad", [True, False])
def test_the_message_can_be_had_again_from_the_screen_alone(*, keypad: bool) -> None:
    """By a button, also where a keypad is wired; a tablet elsewhere has none that counts."""
    with Stage(showing(keypad=keypad, elsewhere=True)) as stage:
        stage.door.show(replace(IDLE, again=True))
        page = stage.browser().get("/panel").text
        assert re.search(
            r'data-here="true".*<button form="keys" name="key" value="again">Vis igen<',
            page,
            re.DOTALL,
        )
        tablet = stage.browser("192.0.2.7", "branch.example")
        assert 'data-here="false"' in tablet.get("/panel").text
        assert tablet.post("/panel/key", data=sent(AGAIN)).status_code == 403
        assert stage.browser().post("/panel/key", data=sent(AGAIN)).status_code == 303
        stage.door.show(IDLE)
        assert look_without(stage, "Vis igen")
    assert stage.door.pressed == [(AGAIN, 7)]


@pytest.mark.parametrize("keypad", [True, False])
def test_help_is_called_from_the_screen_alone(*, keypad: bool) -> None:
    """Where the branch wants it, by forms that need no scripts; never over a door that is dead."""
    with Stage(showing(keypad=keypad, help_button=True, elsewhere=True)) as stage:
        stage.door.show(IDLE)
        page = stage.browser().get("/panel").text
        assert re.search(r'data-help="true".*name="key" value="help">Hj', page, re.DOTALL)
        tablet = stage.browser("192.0.2.7", "branch.example")
        assert tablet.post("/panel/key", data=sent(CALL)).status_code == 403
        stage.door.show(PanelState(Kind.HELP))
        assert any('value="call">Tilkald hj' in page for page in pages(stage))
        for key in (HELP, CALL, NO_CALL):
            assert stage.browser().post("/panel/key", data=sent(key)).status_code == 303
        stage.door.show(PanelState(Kind.CARD_READ, 5))
        assert look_without(stage, 'data-help="true"')
        stage.door.go_away()
        assert look_without(stage, 'data-help="true"')
    assert stage.door.pressed == [(HELP, 7), (CALL, 7), (NO_CALL, 7)]


def test_a_screen_whose_branch_wants_no_calls_has_no_button() -> None:
    """As it is until somebody chooses it."""
    with Stage(showing(help_button=False)) as stage:
        assert 'id="help"' not in stage.browser().get("/panel").text


def look_without(stage: Stage, text: str) -> bool:
    """Tell whether a text goes from the page, which hears of a state a moment after the door."""
    return any(text not in page for page in pages(stage))


def pages(stage: Stage) -> Iterator[str]:
    """Fetch the page until what was looked for is there, 500 times at most."""
    return (stage.browser().get("/panel").text for _ in range(500))


def test_a_door_that_is_gone_says_nothing_of_the_key(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    """503, and neither the answer nor any log line has the digit."""
    stage.door.go_away()
    with caplog.at_level(logging.DEBUG):
        answer = stage.browser().post("/panel/key", data=sent("8", 13))

    assert (answer.status_code, answer.text) == (503, "The door does not answer.")
    assert "key=8" not in caplog.text


def test_only_the_screen_at_the_door_presses_a_key() -> None:
    """Whatever else runs on this machine sees nothing and types nothing, without the secret."""
    with Stage(secret="s3cret") as stage:
        other, screen = stage.browser(), stage.browser()
        for shown in ("", "?key=", "?key=s3cret"):
            assert other.get(f"/panel{shown}").status_code == 403
        for key in ("", "other", "s3cre\u00f8", "s3cret" * 99):
            assert other.post("/panel", data={"key": key}).status_code == 403
        assert stage.browser("192.0.2.7").post("/panel", data=OPENED).status_code == 403
        other.cookies.set("doorctl-panel", "other")
        assert other.get("/panel/events").status_code == 403
        assert other.post("/panel/key", data=sent("4"), headers=AT_ONCE).status_code == 403
        assert stage.door.pressed == []

        of_a_file = {"Sec-Fetch-Site": "cross-site", "Origin": "null"}
        opened = screen.post("/panel", data=OPENED, headers=of_a_file)
        assert opened.status_code == 200
        assert '<meta http-equiv="refresh" content="0;url=/panel">' in opened.text
        assert "s3cret" not in opened.text
        cookie = set(opened.headers["set-cookie"].lower().split("; "))
        assert {"doorctl-panel=s3cret", "httponly", "path=/", "samesite=strict"} <= cookie
        assert "set-cookie" not in screen.get("/panel").headers
        assert screen.post("/panel/key", data=sent("4"), headers=AT_ONCE).status_code == 204
    assert stage.door.pressed == [("4", 7)]


def test_over_https_the_screens_cookie_belongs_to_this_host() -> None:
    """By the prefix no other host can have set it."""
    with Stage(secret="s3cret") as stage:
        screen = stage.browser()
        screen.base_url = "https://127.0.0.1:8080"
        opened = screen.post("/panel", data=OPENED)
        cookie = opened.headers["set-cookie"].lower().split("; ")

        assert cookie[0] == "__host-doorctl-panel=s3cret"
        assert {"secure", "path=/", "httponly", "samesite=strict"} <= set(cookie)
        assert screen.post("/panel/key", data=sent("4"), headers=AT_ONCE).status_code == 204


def test_a_screen_elsewhere_needs_no_secret() -> None:
    """It has no keys; and it is given none that somebody else could press keys with."""
    with Stage(showing(elsewhere=True), secret="s3cret") as stage:
        tablet = stage.browser("192.0.2.7", "branch.example")

        assert tablet.get("/panel").status_code == 200
        answer = tablet.post("/panel", data=OPENED)
        assert (answer.status_code, "set-cookie" in answer.headers) == (403, False)
