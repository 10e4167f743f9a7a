"""The identity provider over real HTTP: whom it vouches for, and all that is not believed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from joserfc.jwk import OctKey

from doorctl.accounts.account import Claims, Pending
from doorctl.core.asking import trusting
from doorctl.core.errors import IdentityProviderError, InputError
from doorctl.core.masked import Masked
from doorctl.extras.oidc import Oidc
from doorctl.extras.oidc.provider import LONGEST_ANSWER_BYTES, OidcProvider
from tests.fakes.clock import FakeClock
from tests.fakes.waiting import LIMIT_S
from tests.sources.oidc_server import (
    CLIENT,
    NOW_S,
    REDIRECT,
    SECRET,
    OidcScript,
    other_key,
    own_key,
    serving,
)

WELL_KNOWN = "/realm/.well-known/openid-configuration"


@dataclass
class Provider:
    """A provider, how it behaves, and the clock here."""

    script: OidcScript
    clock: FakeClock
    oidc: OidcProvider

    def sign_in(self) -> Claims:
        """Go there as a browser does, and come back."""
        address, pending = self.oidc.begin()
        state, code = self.script.browse(address)
        return self.oidc.finish(pending, state=state, code=code)

    def refused(self, why: str) -> None:
        """Go there, and not be believed; the error tells nothing of the token."""
        with pytest.raises(IdentityProviderError, match=why) as refused:
            self.sign_in()
        assert "abc@" not in str(refused.value)
        assert refused.value.__context__ is None or "abc@" not in str(refused.value.__context__)


def asking(issuer: str, clock: FakeClock, **changed: Any) -> OidcProvider:
    """Return a client of a provider."""
    limit_s, context = changed.pop("limit_s", LIMIT_S), changed.pop("context", trusting(Path()))
    told: dict[str, Any] = {
        "issuer": issuer,
        "client_id": CLIENT,
        "redirect_url": REDIRECT,
        "name_claim": "preferred_username",
        "groups_claim": "groups",
    }
    settings = Oidc(**{**told, **changed})
    return OidcProvider(settings, Masked(SECRET), context, clock.moment, limit_s=limit_s)


@pytest.fixture
def provider() -> Iterator[Provider]:
    """A provider that does everything right."""
    script, clock = OidcScript(), FakeClock()
    assert clock.wall.timestamp() == NOW_S
    with serving(script) as issuer:
        yield Provider(script, clock, asking(issuer, clock))


def test_whoever_signs_in_there_is_known_here(provider: Provider) -> None:
    """By login, shown name, groups and the provider's own name for them, none of which is shown."""
    claims = provider.sign_in()

    assert claims == Claims(
        "sub-1", "abc@kommune.example", "Grethe", frozenset({"dør-personale", "andre"})
    )
    assert "abc" not in repr(claims)


def test_each_sign_in_has_secrets_of_its_own(provider: Provider) -> None:
    """State, nonce and verifier are never the same twice, and never shown."""
    kept = [provider.oidc.begin()[1] for _ in range(2)]
    told = [one.reveal() for pending in kept for one in (pending.state, pending.nonce)]
    told += [pending.verifier.reveal() for pending in kept]

    assert len(set(told)) == 6
    assert not any(one in repr(kept) for one in told)


def test_a_provider_may_want_the_secret_in_the_form(provider: Provider) -> None:
    """Its document says how it wants to be shown it; either way it is not in an address."""
    provider.script.document = {"token_endpoint_auth_methods_supported": ["client_secret_post"]}
    provider.sign_in()

    path, headers, form = provider.script.asked[-2]
    assert path == "/realm/token"
    assert form["client_secret"] == SECRET
    assert "authorization" not in headers


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({"iss": "https://elsewhere.example"}, r"\(iss\)"),
        ({"iss": None}, r"\(iss\)"),
        ({"aud": "another-client"}, r"\(aud\)"),
        ({"aud": None}, r"\(aud\)"),
        ({"aud": [CLIENT, "another"], "azp": "another"}, r"\(azp\)"),
        ({"nonce": "another"}, r"\(nonce\)"),
        ({"nonce": None}, r"\(nonce\)"),
        ({"exp": NOW_S - 61}, "expired"),
        ({"exp": None}, r"\(exp\)"),
        ({"iat": None}, r"\(iat\)"),
        ({"sub": None}, r"\(sub\)"),
        ({"sub": ""}, r"\(sub\)"),
        ({"sub": "x" * 256}, r"\(sub\)"),
        ({"at_hash": "AAAA"}, r"\(at_hash\)"),
        ({"preferred_username": None}, "no login"),
        ({"preferred_username": 7}, "no login"),
        ({"groups": {"a": 1}}, "no groups"),
    ],
    ids=str,
)
def test_a_token_that_does_not_say_what_it_should_is_refused(
    provider: Provider, claims: dict[str, object], why: str
) -> None:
    """Of another issuer, for another client or question, over, or about nobody."""
    provider.script.claims = claims

    provider.refused(why)


@pytest.mark.parametrize(
    ("claims", "groups"),
    [
        ({"groups": None}, set()),
        ({"groups": "one"}, {"one"}),
        ({"groups": ["one", 2, None]}, {"one"}),
    ],
    ids=str,
)
def test_groups_may_be_none_one_or_many(
    provider: Provider, claims: dict[str, object], groups: set[str]
) -> None:
    """Who has none is told so by whoever gives out roles, not here."""
    provider.script.claims = {**claims, "name": None}
    found = provider.sign_in()

    assert found.groups == groups
    assert found.shown == "abc@kommune.example"


def test_only_the_providers_own_key_signs(provider: Provider) -> None:
    """Not another one of the same name, not its public key taken as a shared secret."""
    provider.script.key = other_key()
    provider.refused("not signed")
    # joserfc itself refuses a PEM as a secret, so its bytes stand for it.
    public = own_key().as_dict(private=False)["n"]
    provider.script.key = OctKey.import_key(str(public))
    provider.script.algorithm = "HS256"
    provider.refused("not signed")


def test_an_unsigned_token_is_refused(provider: Provider) -> None:
    """Whatever its head says of how it was signed."""
    token = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJzdWItMSJ9."
    answer = json.dumps({"id_token": token, "access_token": "a"}).encode()
    provider.script.replies["/realm/token"] = (200, answer)

    provider.refused("not signed")


@pytest.mark.parametrize("kind", [None, "JWT", "jwt", "application/jwt"])
def test_a_token_of_an_identity_says_so_or_nothing(provider: Provider, kind: str | None) -> None:
    """Providers of today write JWT, or leave it out.

    Bug (ASVS 5.0, read whole): an access token of the provider would have been taken for one
    that says who somebody is.
    """
    provider.script.kind = kind
    assert provider.sign_in().subject == "sub-1"


@pytest.mark.parametrize("kind", ["at+jwt", "application/at+jwt", "logout+jwt", "dpop+jwt", "x"])
def test_a_token_for_something_else_proves_no_identity(provider: Provider, kind: str) -> None:
    """An access or logout token is refused by its kind, whatever else it says (RFC 8725, 3.11)."""
    provider.script.kind = kind
    provider.refused("does not say what it should")


def test_what_tokens_call_their_issuer_can_be_set(provider: Provider) -> None:
    """As ADFS may need it; then its document's own name counts no more."""
    services = "http://adfs.example/adfs/services/trust"
    provider.script.claims = {"iss": services}
    oidc = asking(provider.script.issuer, provider.clock, token_issuer=services)
    other = Provider(provider.script, provider.clock, oidc)
    assert other.sign_in().subject == "sub-1"
    provider.script.claims = {}
    other.refused(r"\(iss\)")


def question(address: str) -> dict[str, str]:
    """Return what an address asks."""
    return dict(parse_qsl(urlsplit(address).query))


def test_how_and_when_somebody_signed_in_there_can_be_asked_for(provider: Provider) -> None:
    """Then it is checked too; else neither is asked, and whatever is told of it is taken."""
    plain = question(provider.oidc.begin()[0])
    assert not plain.keys() & {"acr_values", "max_age", "prompt"}
    provider.script.claims = {"acr": "one", "auth_time": 1}
    provider.sign_in()

    strict = {"acr": "two", "max_age_min": 5}
    oidc = asking(provider.script.issuer, provider.clock, **strict)
    asked = question(oidc.begin(again=True)[0])
    assert (asked["acr_values"], asked["max_age"], asked["prompt"]) == ("two", "300", "login")
    other = Provider(provider.script, provider.clock, oidc)
    provider.script.claims = {"acr": "two", "auth_time": NOW_S - 360}
    other.sign_in()
    for claims in ({"acr": "one"}, {"acr": None}, {"acr": ["two"]}):
        provider.script.claims = {"auth_time": NOW_S, **claims}
        other.refused(r"\(acr\)")
    for at_s in (NOW_S - 361, None, "now", 0):
        provider.script.claims = {"acr": "two", "auth_time": at_s}
        other.refused(r"\(auth_time\)")


def test_signing_out_there_is_where_its_document_says(provider: Provider) -> None:
    """Nowhere where it says nothing; never out of TLS."""
    assert provider.oidc.way_out() == ""
    provider.script.document = {"end_session_endpoint": "https://login.example/out?x=1"}
    leads = provider.oidc.way_out()
    assert leads.startswith("https://login.example/out?")
    assert question(leads)["client_id"] == CLIENT

    provider.script.document = {"end_session_endpoint": "http://login.example/out"}
    provider.refused("not encrypted")


@pytest.mark.parametrize("change", ["state", "no-code", "long-code"])
def test_another_browser_than_the_one_sent_there_is_refused(
    provider: Provider, change: str
) -> None:
    """Nobody can be made to sign in as somebody else by a link; nothing is asked for it."""
    address, pending = provider.oidc.begin()
    state, code = provider.script.browse(address)
    asked = len(provider.script.asked)
    come_back = {
        "state": ("another", code),
        "no-code": (state, ""),
        "long-code": (state, "x" * 5000),
    }[change]

    with pytest.raises(InputError, match="begin again"):
        provider.oidc.finish(pending, state=come_back[0], code=come_back[1])
    assert len(provider.script.asked) == asked


def test_a_code_without_what_it_was_asked_with_is_worth_nothing(provider: Provider) -> None:
    """Whoever steals the code on its way lacks the verifier (PKCE)."""
    address, pending = provider.oidc.begin()
    state, code = provider.script.browse(address)
    stolen = Pending(pending.state, pending.nonce, Masked("another verifier"))

    with pytest.raises(IdentityProviderError, match="status 400"):
        provider.oidc.finish(stolen, state=state, code=code)


@pytest.mark.parametrize("path", [WELL_KNOWN, "/realm/token", "/realm/keys"])
@pytest.mark.parametrize(
    ("reply", "why"),
    [
        ((500, b"{}"), "status 500"),
        ((302, b""), "status 302"),
        ((200, b"<html>"), "none that an identity provider gives"),
        ((200, b"\xff"), "none that an identity provider gives"),
        ((200, b"[" * (LONGEST_ANSWER_BYTES + 1)), "too long"),
    ],
    ids=["error", "redirect", "page", "no-text", "endless"],
)
def test_whatever_else_it_answers_is_refused(
    provider: Provider, path: str, reply: tuple[int, bytes], why: str
) -> None:
    """A redirect is not followed, wherever it leads, and nothing endless is read to its end."""
    provider.script.replies[path] = reply
    provider.script.headers = {"Location": f"{provider.script.issuer}/elsewhere"}

    provider.refused(why)
    assert "/realm/elsewhere" not in [asked for asked, _, _ in provider.script.asked]


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ({"issuer": "https://elsewhere.example"}, "another issuer"),
        ({"token_endpoint": "http://elsewhere.example/token"}, "not encrypted"),
        ({"jwks_uri": "file:///etc/passwd"}, "not encrypted"),
        ({"authorization_endpoint": "http://["}, "not encrypted"),
        ({"authorization_endpoint": "javascript:alert(1)"}, "not encrypted"),
        ({"token_endpoint": None}, "none that an identity provider gives"),
    ],
    ids=str,
)
def test_a_document_that_leads_elsewhere_is_refused(
    provider: Provider, document: dict[str, object], why: str
) -> None:
    """Another provider's, or one by which the secret would travel in the clear."""
    provider.script.document = document

    with pytest.raises(IdentityProviderError, match=why):
        provider.oidc.begin()


def test_without_a_clock_nobody_can_say_if_a_token_still_holds(provider: Provider) -> None:
    """A Pi that starts in another year believes none; local accounts work."""
    provider.clock.vouched = False

    provider.refused("clock is not set")
