"""The page of all branches: three real web processes, a real NATS server between them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from doorctl.accounts.roles import Role
from tests.browser.house import staged
from tests.browser.visitor import LANGUAGES, LIMIT_MS, Visitors, in_sight
from tests.extras.fleet.nats_server import STREAMS, serving_nats
from tests.web.nats_fed import NatsFed, answers_key

WINDOWS = ((1280, 800), (390, 844))


@pytest.fixture(scope="module")
def hub(chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visitors]:
    """Let people come to a branch that has the page of itself, of syd and of nord."""
    directory = tmp_path_factory.mktemp("hub")
    keys = directory / "branches"
    keys.mkdir()
    with ExitStack() as stack:
        streams = STREAMS.format(store=directory / "store")
        server = stack.enter_context(serving_nats(directory, streams))
        others = []
        for name in ("syd", "nord"):
            (directory / name).mkdir()
            branch = NatsFed(
                directory / name, server, f"branch.id={name}", f"branch.name=Filial {name}"
            )
            shutil.copy(directory / name / "answers.pub", keys / f"{name}.pub")
            others.append(branch)
        own = directory / "own"
        own.mkdir()
        key = answers_key(own)
        shutil.copy(own / "answers.pub", keys / "demo.pub")
        house = stack.enter_context(
            staged(
                own,
                settings=(
                    f'web.nats.servers=["{server.url}"]',
                    f"web.nats.signing_key_file={key}",
                    f'web.hub.servers=["{server.url}"]',
                    f"web.hub.keys_directory={keys}",
                ),
            )
        )
        # Where no hub was yet, nothing keeps what a branch has said: it says it again in minutes.
        for branch in others:
            branch.start()
            stack.callback(branch.end)
        yield Visitors(chromium, house)


@pytest.mark.parametrize("language", LANGUAGES)
def test_all_branches_are_seen_at_a_glance(hub: Visitors, language: str, tmp_path: Path) -> None:
    """Each branch with its sentence, in the window of a desk, and the first on a telephone."""
    with hub.visitor(Role.STAFF, language=language) as visitor:
        visitor.go("/branches")
        page = visitor.page
        page.locator("#branch-syd details").wait_for(timeout=LIMIT_MS)
        page.locator("#branch-nord details").wait_for(timeout=LIMIT_MS)
        page.locator("#branch-demo details").wait_for(timeout=LIMIT_MS)
        names = page.locator(".branch h2").all_inner_texts()
        assert {"Filial nord", "Filial syd"} < {*names}
        for width, height in WINDOWS:
            visitor.resize(width, height)
            assert visitor.too_wide() == 0
            in_sight(page.locator("#live .headline"))
            in_sight(page.locator(".branch-state").first)
            page.screenshot(path=tmp_path / f"{language}-{width}.png")
        visitor.resize(1280, 800)
        for each in page.locator(".branch-state").all():
            in_sight(each)
        assert visitor.violations() == []
        page.locator("#branch-nord summary").click()
        in_sight(page.locator("#branch-nord .facts dd").first)
        assert visitor.wrongs == []


def test_a_branch_that_is_locked_down_says_so_there(hub: Visitors) -> None:
    """What happens at a branch is on the page within seconds, without a click."""
    with hub.visitor(Role.STAFF) as visitor, hub.visitor(Role.STAFF) as here:
        visitor.go("/branches")
        visitor.page.locator("#branch-demo.branch-locked").wait_for(state="detached")
        here.go("/now")
        here.page.click("#lock-now > summary")
        here.page.fill("#lock-cause", "røg")
        here.page.click("#lock-now form button")
        here.page.locator(".state-locked").wait_for()
        visitor.page.locator("#branch-demo.branch-locked").wait_for(timeout=LIMIT_MS)
        here.page.click("#lift > summary")
        here.page.click("#lift-button")
        visitor.page.locator("#branch-demo.branch-locked").wait_for(
            state="detached", timeout=LIMIT_MS
        )
