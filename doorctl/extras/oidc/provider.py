"""The municipality's identity provider, by OpenID Connect: code flow with PKCE, state and nonce.

The browser is sent there and comes back with a code; this machine exchanges the code for a signed
token. No redirect is followed and no proxy of the environment used. Loaded at the first sign-in.
"""

from __future__ import annotations

import secrets
import ssl
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

import httpx2
import msgspec
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core.claims import CodeIDToken
from joserfc import jwt
from joserfc.errors import ClaimError, ExpiredTokenError, InvalidClaimError, JoseError
from joserfc.jwk import KeySet

from doorctl.accounts.account import Claims, Pending
from doorctl.config.tables import is_this_machine
from doorctl.core.asking import ASK_JSON, Talks, body_of, read_answer, unreached, waits
from doorctl.core.errors import IdentityProviderError, InputError
from doorctl.core.masked import Masked
from doorctl.core.moments import Moment
from doorctl.core.ports import Unshown
from doorctl.extras.oidc import Oidc

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA")
"""Algorithms with which only the provider can sign; never ``none``, never a shared secret."""

TOKEN_KINDS = frozenset({"", "jwt", "application/jwt"})
"""Types that its head may name, in lower case; an access token says ``at+jwt``."""

KEY_KINDS = frozenset({"RSA", "EC", "OKP"})

LEEWAY_S = 60
"""How far its clock may differ from ours."""

LONGEST_SUBJECT = 255
"""OpenID Connect Core, section 2."""

MOST_GROUPS = 5000

T = TypeVar("T")

NO_ANSWER = "its answer is none that an identity provider gives; see signin.oidc.issuer"


class Document(msgspec.Struct, frozen=True):
    """The fields of the discovery document that we use."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    end_session_endpoint: str = ""
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)


class Tokens(Unshown, frozen=True, forbid_unknown_fields=False):
    """The answer to a code; the access token is only compared with its hash."""

    id_token: str
    access_token: str = ""


class Keys(msgspec.Struct, frozen=True):
    """The keys that the provider signs with, and maybe others."""

    keys: list[dict[str, Any]]


def read_document(written: bytes, issuer: str) -> Document:
    """Return the discovery document.

    Raises IdentityProviderError: it is not valid, is another provider's, or leads out of TLS.
    """
    document = read(written, Document)
    if document.issuer.rstrip("/") != issuer.rstrip("/"):
        raise IdentityProviderError("its document is another issuer's; see signin.oidc.issuer")
    ends = (document.authorization_endpoint, document.token_endpoint, document.jwks_uri)
    out = (document.end_session_endpoint,) if document.end_session_endpoint else ()
    if not all(map(_is_safe, (*ends, *out))):
        raise IdentityProviderError("its document names addresses that are not encrypted")
    return document


def read(written: bytes, kind: type[T]) -> T:
    """Return an answer; raises IdentityProviderError where it is not of that kind."""
    answer = read_answer(written, kind)
    if answer is None:
        raise IdentityProviderError(NO_ANSWER)
    return answer


def read_token(
    tokens: Tokens, keys: Keys, settings: Oidc, *, issuer: str, nonce: Masked[str], now_s: int
) -> Claims:
    """Return the person that a token is about, after checking its signature and all its claims.

    `now_s` is the time now, in seconds since 1970.

    Raises IdentityProviderError: it can't be believed; says which part, and nothing of the person.
    """
    usable = [key for key in keys.keys if key.get("kty") in KEY_KINDS and key.get("use") != "enc"]
    options = {
        "iss": {"essential": True, "value": issuer},
        "aud": {"essential": True, "value": settings.client_id},
    }
    params = {
        "nonce": nonce.reveal(),
        "client_id": settings.client_id,
        "access_token": tokens.access_token,
    }
    try:
        key_set = KeySet.import_key_set({"keys": usable})
        token = jwt.decode(tokens.id_token, key_set, algorithms=ALGORITHMS)
        claims = CodeIDToken(token.claims, token.header, options, params)
        claims.validate(now=now_s, leeway=LEEWAY_S)
        if str(token.header.get("typ", "")).lower() not in TOKEN_KINDS:
            raise InvalidClaimError("typ")
    except ExpiredTokenError:
        why = "its token has expired, or a clock is wrong"
    except ClaimError as error:
        why = f"its token does not say what it should ({error.claim})"
    except (JoseError, ValueError, TypeError, KeyError):
        why = "its token is not signed by a key of its own"
    else:
        _refuse_otherwise(claims, settings, now_s)
        return _claims(claims, settings)
    raise IdentityProviderError(why)


def _refuse_otherwise(claims: Mapping[str, Any], settings: Oidc, now_s: int) -> None:
    if settings.acr and claims.get("acr") != settings.acr:
        raise IdentityProviderError("its token does not say what it should (acr)")
    oldest_s = now_s - 60 * settings.max_age_min - LEEWAY_S
    if settings.max_age_min and not claims.get("auth_time", 0) >= oldest_s:
        raise IdentityProviderError("its token does not say what it should (auth_time)")


def _claims(claims: Mapping[str, Any], settings: Oidc) -> Claims:
    subject, name = claims.get("sub"), claims.get(settings.name_claim)
    groups = claims.get(settings.groups_claim, [])
    if not isinstance(subject, str) or not 0 < len(subject) <= LONGEST_SUBJECT:
        raise IdentityProviderError("its token does not say what it should (sub)")
    if not isinstance(name, str):
        raise IdentityProviderError("its token names no login; see signin.oidc.name_claim")
    listed = [groups] if isinstance(groups, str) else groups
    if not isinstance(listed, list):
        raise IdentityProviderError("its token lists no groups; see signin.oidc.groups_claim")
    shown = claims.get("name")
    return Claims(
        subject=subject,
        name=name,
        shown=shown if isinstance(shown, str) else name,
        groups=frozenset(group for group in listed[:MOST_GROUPS] if isinstance(group, str)),
    )


def _is_safe(url: str) -> bool:
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return False
    if parts.scheme == "http":
        return is_this_machine(host)
    return parts.scheme == "https" and host != ""


LIMIT_S = 10.0
"""For each half of a sign-in, with all its requests."""

LONGEST_ANSWER_BYTES = 262_144
"""A token with a few hundred groups has 20 KiB."""

LONGEST_CODE = 4096

SCOPE = "openid profile"
DOCUMENT = "/.well-known/openid-configuration"
RANDOM_BYTES = 32


@dataclass(eq=False, repr=False)
class OidcProvider:
    """The municipality's identity provider. Thread-safe; `limit_s` is for each call.

    `moment` tells the time, by which tokens expire. Raises IdentityProviderError: it can't be
    reached, or can't be believed.
    """

    settings: Oidc
    secret: Masked[str]
    context: ssl.SSLContext
    moment: Callable[[], Moment]
    _: KW_ONLY
    limit_s: float = LIMIT_S
    _talks: Talks = field(default_factory=Talks, init=False)

    def begin(self, *, again: bool = False) -> tuple[str, Pending]:
        """Return the address to send the browser to, and what to keep until it comes back.

        With `again` the provider checks anew a person who is signed in there already.
        """
        pending = Pending(*(Masked(secrets.token_urlsafe(RANDOM_BYTES)) for _ in range(3)))
        document: Document = self._run(self._document)
        wishes = {
            "acr_values": self.settings.acr,
            "max_age": 60 * self.settings.max_age_min,
            "prompt": "login" if again else "",
        }
        address = prepare_grant_uri(
            document.authorization_endpoint,
            self.settings.client_id,
            "code",
            redirect_uri=self.settings.redirect_url,
            scope=SCOPE,
            state=pending.state.reveal(),
            nonce=pending.nonce.reveal(),
            code_challenge=create_s256_code_challenge(pending.verifier.reveal()),
            code_challenge_method="S256",
            **{name: value for name, value in wishes.items() if value},
        )
        return str(address), pending

    def finish(self, pending: Pending, *, state: str, code: str) -> Claims:
        """Return the claims about the person who came back with a code.

        Raises InputError: it is not the browser that was sent there; begin again.
        """
        if Masked(state) != pending.state or not 0 < len(code) <= LONGEST_CODE:
            raise InputError("this sign-in was not begun here, or is over; begin again")
        moment = self.moment()
        if not moment.dependable:
            raise IdentityProviderError(
                "the clock is not set, so nobody can say if its word still holds; use a local "
                "account"
            )
        claims: Claims = self._run(
            lambda client: self._finished(client, pending, code, int(moment.local.timestamp()))
        )
        return claims

    def way_out(self) -> str:
        """Return the address where a browser signs out there; empty if there is none."""
        document: Document = self._run(self._document)
        if not document.end_session_endpoint:
            return ""
        # Without a hint, which would be a person's token, the provider asks for confirmation.
        params = {"client_id": self.settings.client_id}
        return str(httpx2.URL(document.end_session_endpoint, params=params))

    def _run(self, work: Callable[[httpx2.AsyncClient], Any]) -> Any:
        async def asking() -> Any:
            async with httpx2.AsyncClient(
                verify=self.context,
                trust_env=False,
                timeout=waits(self.limit_s),
                follow_redirects=False,
            ) as client:
                return await work(client)

        try:
            return self._talks.within(self.limit_s, asking)
        except (TimeoutError, ssl.SSLError, httpx2.HTTPError, httpx2.InvalidURL) as error:
            why = unreached(error, "signin.oidc")
        # Raised out here, so that no exception with the provider's token is its context.
        raise IdentityProviderError(f"the identity provider: {why}")

    async def _document(self, client: httpx2.AsyncClient) -> Document:
        issuer = self.settings.issuer
        return read_document(await _body(client, "GET", issuer.rstrip("/") + DOCUMENT), issuer)

    async def _finished(
        self, client: httpx2.AsyncClient, pending: Pending, code: str, now_s: int
    ) -> Claims:
        document = await self._document(client)
        form, headers = self._shown(document, pending, code)
        answer = await _body(client, "POST", document.token_endpoint, form, headers)
        keys = await _body(client, "GET", document.jwks_uri)
        return read_token(
            read(answer, Tokens),
            read(keys, Keys),
            self.settings,
            issuer=self.settings.token_issuer or document.issuer,
            nonce=pending.nonce,
            now_s=now_s,
        )

    def _shown(
        self, document: Document, pending: Pending, code: str
    ) -> tuple[dict[str, str], dict[str, str]]:
        """Return the form and the headers that turn a code into a token."""
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.settings.redirect_url,
            "code_verifier": pending.verifier.reveal(),
        }
        own, secret = self.settings.client_id, self.secret.reveal()
        if "client_secret_basic" not in document.token_endpoint_auth_methods_supported:
            return {**form, "client_id": own, "client_secret": secret}, {}
        # RFC 6749, section 2.3.1: both are encoded as in a form before they are joined.
        basic = httpx2.BasicAuth(quote(own, safe=""), quote(secret, safe=""))
        request = next(basic.auth_flow(httpx2.Request("POST", document.token_endpoint)))
        return form, {"Authorization": request.headers["Authorization"]}


async def _body(
    client: httpx2.AsyncClient,
    method: str,
    url: str,
    form: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
) -> bytes:
    all_headers = {**ASK_JSON, **(headers or {})}
    async with client.stream(method, url, data=form, headers=all_headers) as response:
        body = await body_of(response.aiter_raw(), LONGEST_ANSWER_BYTES)
        if body is None:
            raise IdentityProviderError("the identity provider: its answer is too long")
        if response.status_code != httpx2.codes.OK:
            why = f"it answers with HTTP status {response.status_code}"
            raise IdentityProviderError(f"the identity provider: {why}")
    return body
