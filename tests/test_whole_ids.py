"""An id is compared whole: a longer one, a shorter one and another case of it name something else.

Bug (second penetration test, plant): the hours of branch 42 on the website would have been taken
for those of branch 4, and no test would have told.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from doorctl.access.patron import Patron, Reason
from doorctl.access.policy import Case, PinProof, Policy, decide, opens_day
from doorctl.access.rights import Ban
from doorctl.accounts.account import Claims
from doorctl.core.errors import DoorctlError, StoreError
from doorctl.core.masked import IdentifierKind
from doorctl.extras.metrics.figures import METRICS
from doorctl.extras.website.website import HoursRequest, read_opening_hours
from doorctl.lookup.app import App
from doorctl.rpc.client import ask
from doorctl.rpc.messages import REFUSED, Line
from doorctl.store.branch import BranchRecords
from doorctl.store.connection import create_private
from doorctl.store.outbox import open_or_create_outbox
from doorctl.sync.delivery import Result
from doorctl.sync.exchange import signed
from tests.access.samples import NOW, PATRON, moment
from tests.fakes.another_user import NOBODY, ask_as
from tests.fakes.branch import FakeBranch
from tests.fakes.clock import FakeClock
from tests.fakes.memory_store import MemoryPatrons
from tests.fakes.waiting import LIMIT_S
from tests.rpc.serving import serving as serving_socket
from tests.services.branches import ban_patron, initialised, key, register
from tests.sources import fbs_server, oidc_server
from tests.sources.stages import CARD, PIN, fbs_stage, row_of, sip2_stage
from tests.sources.test_oidc import asking
from tests.sources.website_server import item
from tests.sync import pushes
from tests.sync.senders import TERMS, Town, patron
from tests.sync.test_document import NONCE, heard
from tests.web.addresses import built
from tests.web.test_signing_in import CLAIMS, HERE, RIGHT, House

MONDAY = date(2026, 3, 9)


def variants(name: str) -> Iterator[str]:
    """Yield longer ones, shorter ones, and the same in another case."""
    others = (
        *(name + name[-1], name + "2", name[0] + name, "2" + name),
        *(name[:-1], name[1:]),
        *(name.upper(), name.lower(), name.swapcase()),
    )
    yield from dict.fromkeys(other for other in others if other not in ("", name))


@dataclass(frozen=True)
class Named:
    """What has an id.

    `names` tells whether another one would be taken for it, in an empty directory; `cases`: whether
    capital letters count, which they don't in a login.
    """

    what: str
    right: str
    names: Callable[[str, Path], bool]
    cases: bool = True


def succeeds(work: Callable[[], object]) -> bool:
    """Tell whether it is done; a refusal is one of ours."""
    try:
        work()
    except DoorctlError:
        return False
    return True


# The website, and library systems.


def hours(answer: dict[str, object]) -> bool:
    """Read hours that were asked for branch 42 of library DK-773000."""
    asked = HoursRequest("42", MONDAY, MONDAY, "DK-773000")
    return succeeds(lambda: read_opening_hours(json.dumps([answer]).encode(), asked))


def website_branch(given: str, _: Path) -> bool:
    """A branch on the website, as a text and as a number."""
    written = [given, *([int(given)] if given.isdecimal() else [])]
    found = {hours(item(MONDAY) | {"branch_id": branch}) for branch in written}
    assert len(found) == 1
    return found.pop()


def website_library(given: str, _: Path) -> bool:
    """The library of a branch on the website."""
    return hours(item(MONDAY) | {"branch_id": 42, "branch_isil_id": given})


def sip2_agency(given: str, directory: Path) -> bool:
    """Whose SIP2 server answers."""
    with sip2_stage(directory, LIMIT_S) as stage:
        stage.know(CARD, PIN)
        stage.script.institution = f"AO{given}|"
        return succeeds(stage.ask)


def sip2_class(given: str, directory: Path) -> bool:
    """The patron class of residents."""
    with sip2_stage(directory, LIMIT_S) as stage:
        return row_of(stage.reply(more=b"PC%b|" % given.encode())).resident


def fbs_patron(given: str, directory: Path) -> bool:
    """About whom FBS answers."""
    with fbs_stage(directory, LIMIT_S) as stage:
        stage.know(CARD, PIN)
        stage.script.patrons[CARD].patron_id = 1001
        stage.script.replies["v4"] = 200, fbs_server.person(int(given))
        return succeeds(lambda: stage.ask(row_wanted=True))


# Pushes.


def push_branch(given: str, _: Path) -> bool:
    """For which branch a push is."""
    return succeeds(lambda: pushes.stage(pushes.Document(branch=given).data()))


def push_key(given: str, _: Path) -> bool:
    """By which installation key a push is sealed."""
    document = pushes.Document(seal=msgspec.structs.replace(pushes.SEAL, key_id=given))
    return succeeds(lambda: pushes.receive(pushes.stage(document.data()), MemoryPatrons()))


def message_branch(given: str, _: Path) -> bool:
    """For which branch a message of its sender is."""
    return succeeds(lambda: heard(signed(given, NONCE, pushes.KEY, heads={})))


def message_nonce(given: str, _: Path) -> bool:
    """Which question a message of the sender answers."""
    return succeeds(lambda: heard(signed("oest", given, pushes.KEY, heads={})))


def branch_key(given: str, directory: Path) -> bool:
    """With which installation key a branch's door seals."""
    town = Town(directory, [FakeBranch("oest", key_id=given)])
    town.source.patrons = [patron(1)]
    return town.push()[1]["oest"].result is Result.SENT


def sender_patron(given: str, directory: Path) -> bool:
    """Whom the sender takes out."""
    town = Town(directory, [FakeBranch("oest")])
    town.source.patrons = [patron(1001)]
    town.push()
    with closing(open_or_create_outbox(town.outbox_path)) as outbox:
        outbox.record([], [given], TERMS)
        return "1001" not in outbox.fingerprints()


# What decides.


def decided(policy: Policy, patron: Patron) -> Reason:
    """Return how it ends for a patron whom nothing else keeps out."""
    case = Case(patron, moment(), PinProof.PROVED, cache_applied_at=NOW.astimezone(UTC))
    return decide(policy, case).reason


def required_tag(given: str, _: Path) -> bool:
    """A tag that patrons need."""
    policy = Policy(require_tags=frozenset({"agreement"}))
    return decided(policy, replace(PATRON, tags=frozenset({given}))) is Reason.OK


def exempting_tag(given: str, _: Path) -> bool:
    """A tag for which no age limit counts."""
    policy = Policy(minimum_age=15, age_exception_tags=frozenset({"agreement"}))
    young = replace(PATRON, enter_from=date(2030, 1, 1), tags=frozenset({given}))
    return decided(policy, young) is Reason.OK


def opening_tag(given: str, _: Path) -> bool:
    """A tag of which one has to come first."""
    policy = Policy(first_card=frozenset({"agreement"}))
    return opens_day(policy, replace(PATRON, tags=frozenset({given})))


def block(given: str, _: Path) -> bool:
    """A block that keeps out, where others don't."""
    policy = Policy(deny_blocks=frozenset({"Ob"}), deny_other_blocks=False)
    return decided(policy, replace(PATRON, blocks=frozenset({given}))) is not Reason.OK


def ban_branch(given: str, _: Path) -> bool:
    """The branch that a ban is for."""
    ban = Ban(0, "smoke", datetime(2026, 1, 1, tzinfo=UTC), None, "staff-7", frozenset({given}))
    return ban.holds(moment(), "oest")


def banned_patron(given: str, directory: Path) -> bool:
    """Whom a ban is of."""
    app = App.of(initialised(directory))
    register(app, (IdentifierKind.CARD, CARD, "ab12"))
    ban = Ban(0, "smoke", datetime(2026, 1, 1, tzinfo=UTC), None, "staff-7", frozenset({"*"}))
    ban_patron(app, "ab12", ban)
    with closing(BranchRecords(app.storage.branch_db)) as records:
        return bool(records.bans(bytes(16), given))


def banned_card(given: str, directory: Path) -> bool:
    """The number of a card, sealed."""
    app = App.of(initialised(directory))
    return key(app, IdentifierKind.CARD, given) == key(app, IdentifierKind.CARD, CARD)


# Who may do what.


def municipal_group(given: str, _: Path) -> bool:
    """A group at the identity provider, which has a role here."""
    house = House()
    return succeeds(lambda: house.provided.sign_in(replace(CLAIMS, groups=frozenset({given}))))


def municipal_subject(given: str, _: Path) -> bool:
    """The provider's own name for a person."""
    house = House()
    house.provided.sign_in(CLAIMS)
    claims = Claims(given, CLAIMS.name, CLAIMS.shown, CLAIMS.groups)
    return succeeds(lambda: house.provided.sign_in(claims))


def login(given: str, _: Path) -> bool:
    """A local account's login."""
    house = House()
    return succeeds(lambda: house.door.sign_in(given, RIGHT, HERE))


def claim(name: str) -> Callable[[str, Path], bool]:
    """What a token says of its provider, for whom it is, and which question it answers."""

    def names(given: str, _: Path) -> bool:
        script, clock = oidc_server.OidcScript(), FakeClock()
        with oidc_server.serving(script) as issuer:
            asked = asking(issuer, clock, token_issuer="https://idp.example/realm")
            address, pending = asked.begin()
            script.claims = {"iss": "https://idp.example/realm", name: given}
            state, code = script.browse(address)
            return succeeds(lambda: asked.finish(pending, state=state, code=code))

    return names


def provider(given: str, _: Path) -> bool:
    """Whose document it is."""
    script = oidc_server.OidcScript()
    with oidc_server.serving(script) as issuer:
        script.document = {
            "issuer": given.replace("https://idp.example", issuer.rpartition("/")[0])
        }
        return succeeds(lambda: asking(issuer, FakeClock()).begin())


def metrics_token(given: str, directory: Path) -> bool:
    """What Prometheus shows."""
    file = directory / "metrics.token"
    create_private(file, b"aToken-1\n")
    config = initialised(directory, f"metrics.token_file={file}")
    with built(config) as shown, TestClient(Starlette(routes=shown.routes)) as client:
        answer = client.get(METRICS, headers={"Authorization": f"Bearer {given}"})
    return answer.status_code == 200


def kept_question(given: str, directory: Path) -> bool:
    """A question that the configuration keeps for root."""
    if os.geteuid() != 0:
        pytest.skip("only root can ask as another user")
    answers: dict[str, Any] = dict.fromkeys((given, "unlock"), lambda _line: {"done": 1})
    with serving_socket(directory / "s", answers, kept=frozenset({"unlock"})) as path:
        return REFUSED in ask_as(NOBODY, path, {"ask": given})


def question(given: str, directory: Path) -> bool:
    """A question to a process of this machine."""
    with serving_socket(directory / "s", {"unlock": lambda _question: {}}) as path:
        try:
            ask(path, Line(given), timeout_s=LIMIT_S)
        except StoreError:
            return False
    return True


IDS = (
    Named("a branch on the website", "42", website_branch),
    Named("the library of a branch on the website", "DK-773000", website_library),
    Named("a SIP2 server's institution", "DK-773000", sip2_agency),
    Named("a patron class", "VOKSEN", sip2_class),
    Named("a patron at FBS", "1001", fbs_patron),
    Named("the branch of a push", "oest", push_branch),
    Named("the key of a push", "0badcafe", push_key),
    Named("the branch of a message", "oest", message_branch),
    Named("the question of a message", NONCE, message_nonce),
    Named("the key of a branch", "0badcafe", branch_key),
    Named("a patron at the sender", "1001", sender_patron),
    Named("a tag that patrons need", "agreement", required_tag),
    Named("a tag without an age limit", "agreement", exempting_tag),
    Named("a tag that comes first", "agreement", opening_tag),
    Named("a block", "Ob", block),
    Named("the branch of a ban", "oest", ban_branch),
    Named("a banned patron", "ab12", banned_patron),
    Named("a card", CARD, banned_card),
    Named("a group at the provider", "dør-personale", municipal_group),
    Named("a person at the provider", "sub-1", municipal_subject),
    Named("the issuer of a token", "https://idp.example/realm", claim("iss")),
    Named("the client of a token", oidc_server.CLIENT, claim("aud")),
    Named("a provider's document", "https://idp.example/realm", provider),
    Named("a login", "grethe", login, cases=False),
    Named("a token for figures", "aToken-1", metrics_token),
    Named("what is kept for root", "unlock", kept_question),
    Named("a question", "unlock", question),
)


@pytest.mark.parametrize("named", IDS, ids=lambda named: named.what)
def test_an_id_is_compared_whole(named: Named, tmp_path: Path) -> None:
    """The right one is known, and nothing that begins or ends with it or as it does."""
    directories = (tmp_path / str(number) for number in range(100))

    def names(given: str) -> bool:
        directory = next(directories)
        directory.mkdir()
        return named.names(given, directory)

    others = [
        other
        for other in variants(named.right)
        if named.cases or other.lower() != named.right.lower()
    ]

    assert names(named.right)
    assert [other for other in others if names(other)] == []
