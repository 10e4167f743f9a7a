"""The municipality's identity provider, by OpenID Connect: code flow with PKCE, state and nonce.

The browser is sent there and comes back with a code; the code is turned into a signed token from
here. No redirect is followed and no proxy of the environment used. Loaded at the first sign-in.
"""

from __future__ import annotations

import secrets
import ssl
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

import httpx2
from authlib.oauth2.rfc6749.parameters import (  # type: ignore[import-untyped,unused-ignore]
    prepare_grant_uri,
)
from authlib.oauth2.rfc7636 import (  # type: ignore[import-untyped,unused-ignore]
    create_s256_code_challenge,
)

from doorctl.accounts.ports import Claims, Pending
from doorctl.errors import IdentityProviderError, InputError
from doorctl.masked import Masked
from doorctl.moments import Moment
from doorctl.sources.oidc_answers import (
    Document,
    Keys,
    Tokens,
    Wanted,
    read,
    read_document,
    read_token,
)
from doorctl.sources.time_limit import TimeLimit
from doorctl.sources.trust import unreached

LIMIT_S = 10.0
"""For each half of a sign-in, with all questions that belong to it."""

LONGEST_ANSWER_BYTES = 262_144
"""A token with a few hundred groups has 20 KiB."""

LONGEST_CODE = 4096

SCOPE = "openid profile"
DOCUMENT = "/.well-known/openid-configuration"
RANDOM_BYTES = 32


class OidcProvider:
    """Ask an identity provider; implements `IdentityProvider`. Thread-safe.

    Args:
        issuer: its address.
        token_issuer: what its tokens say of who issued them; empty for what its document says.
        client_id: the name under which it knows us.
        secret: what belongs to that name.
        redirect_url: where it sends browsers back to.
        name_claim: what of a token is the login.
        groups_claim: what of a token lists the groups.
        acr: how somebody has to have signed in there; empty for anyhow.
        max_age_s: how long ago at most; 0 for any time.
        context: how its certificate is checked; see `trusting`.
        moment: tells the time, by which tokens expire.
        limit_s: for each call, in seconds.
    """

    def __init__(
        self,
        *,
        issuer: str,
        token_issuer: str = "",
        client_id: str,
        secret: Masked[str],
        redirect_url: str,
        name_claim: str,
        groups_claim: str,
        acr: str = "",
        max_age_s: int = 0,
        context: ssl.SSLContext,
        moment: Callable[[], Moment],
        limit_s: float = LIMIT_S,
    ) -> None:
        self._issuer = issuer
        self._token_issuer = token_issuer
        self._client_id = client_id
        self._secret = secret
        self._redirect_url = redirect_url
        self._name_claim = name_claim
        self._groups_claim = groups_claim
        self._acr = acr
        self._max_age_s = max_age_s
        self._context = context
        self._moment = moment
        self._limit = TimeLimit(limit_s, "oidc")

    def begin(self, *, again: bool = False) -> tuple[str, Pending]:
        """Return the address to send the browser to, and what it has to keep meanwhile."""
        pending = Pending(*(Masked(secrets.token_urlsafe(RANDOM_BYTES)) for _ in range(3)))
        document: Document = self._asked(self._document)
        wishes = {
            "acr_values": self._acr,
            "max_age": self._max_age_s,
            "prompt": "login" if again else "",
        }
        address = prepare_grant_uri(
            document.authorization_endpoint,
            self._client_id,
            "code",
            redirect_uri=self._redirect_url,
            scope=SCOPE,
            state=pending.state.reveal(),
            nonce=pending.nonce.reveal(),
            code_challenge=create_s256_code_challenge(pending.verifier.reveal()),
            code_challenge_method="S256",
            **{name: value for name, value in wishes.items() if value},
        )
        return str(address), pending

    def finish(self, pending: Pending, *, state: str, code: str) -> Claims:
        """Return who somebody is who came back with a code.

        Raises:
            InputError: it is not the browser that was sent there; begin again.
        """
        if Masked(state) != pending.state or not 0 < len(code) <= LONGEST_CODE:
            raise InputError("this sign-in was not begun here, or is over; begin again")
        moment = self._moment()
        if not moment.dependable:
            raise IdentityProviderError(
                "the clock is not set, so nobody can say if its word still holds; use a local "
                "account"
            )
        claims: Claims = self._asked(
            lambda client: self._finished(client, pending, code, int(moment.local.timestamp()))
        )
        return claims

    def way_out(self) -> str:
        """Return the address where a browser signs out there; empty for none."""
        document: Document = self._asked(self._document)
        if not document.end_session_endpoint:
            return ""
        # Without a hint, which would be somebody's token, the provider itself asks if it is meant.
        return str(httpx2.URL(document.end_session_endpoint, params={"client_id": self._client_id}))

    def close(self) -> None:
        """End what is under way; idempotent."""
        self._limit.close()

    def _asked(self, work: Callable[[httpx2.AsyncClient], Any]) -> Any:
        async def asking() -> Any:
            async with httpx2.AsyncClient(
                verify=self._context, trust_env=False, timeout=None, follow_redirects=False
            ) as client:
                return await work(client)

        try:
            return self._limit.run(asking)
        except TimeoutError:
            why = "it does not answer in time"
        except httpx2.ConnectError as error:
            why = unreached(error).replace("lms.ca_file", "signin.oidc.ca_file")
        except (httpx2.HTTPError, httpx2.InvalidURL):
            why = "it breaks off in the middle of an answer"
        # Out here nothing of its text hangs on it as a context: that may hold a token.
        raise IdentityProviderError(f"the identity provider: {why}")

    async def _document(self, client: httpx2.AsyncClient) -> Document:
        written = await _body(client, "GET", self._issuer.rstrip("/") + DOCUMENT)
        return read_document(written, self._issuer)

    async def _finished(
        self, client: httpx2.AsyncClient, pending: Pending, code: str, now_s: int
    ) -> Claims:
        document = await self._document(client)
        form, headers = self._shown(document, pending, code)
        answer = await _body(client, "POST", document.token_endpoint, form, headers)
        keys = await _body(client, "GET", document.jwks_uri)
        wanted = Wanted(
            issuer=self._token_issuer or document.issuer,
            client_id=self._client_id,
            nonce=pending.nonce,
            now_s=now_s,
            name_claim=self._name_claim,
            groups_claim=self._groups_claim,
            acr=self._acr,
            max_age_s=self._max_age_s,
        )
        return read_token(read(answer, Tokens), read(keys, Keys), wanted)

    def _shown(
        self, document: Document, pending: Pending, code: str
    ) -> tuple[dict[str, str], dict[str, str]]:
        """Return the form and the headers that turn a code into a token."""
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._redirect_url,
            "code_verifier": pending.verifier.reveal(),
        }
        own, secret = self._client_id, self._secret.reveal()
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
    asked = {"Accept": "application/json", "Accept-Encoding": "identity", **(headers or {})}
    body = b""
    async with client.stream(method, url, data=form, headers=asked) as response:
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > LONGEST_ANSWER_BYTES:
                raise IdentityProviderError("the identity provider: its answer is too long")
        if response.status_code != httpx2.codes.OK:
            why = f"it answers with HTTP status {response.status_code}"
            raise IdentityProviderError(f"the identity provider: {why}")
    return body
