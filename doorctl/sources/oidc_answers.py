"""What an identity provider answers, read with distrust: its document, its keys, its token."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import msgspec
from authlib.oidc.core.claims import CodeIDToken  # type: ignore[import-untyped,unused-ignore]
from joserfc import jwt
from joserfc.errors import ClaimError, ExpiredTokenError, InvalidClaimError, JoseError
from joserfc.jwk import KeySet

from doorctl.accounts.ports import Claims
from doorctl.config.lms import is_this_machine
from doorctl.errors import IdentityProviderError
from doorctl.masked import Masked

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA")
"""Those by which only the provider can have signed; never ``none``, never a shared secret's."""

TOKEN_KINDS = frozenset({"", "jwt", "application/jwt"})
"""What its head may say that it is, in lower case; an access token says ``at+jwt``."""

KEY_KINDS = frozenset({"RSA", "EC", "OKP"})

LEEWAY_S = 60
"""By so much its clock may differ from ours."""

LONGEST_SUBJECT = 255
"""OpenID Connect Core, section 2."""

MOST_GROUPS = 5000

NO_ANSWER = "its answer is none that an identity provider gives; see signin.oidc.issuer"


class Document(msgspec.Struct, frozen=True):
    """The discovery document: what of it is used."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    end_session_endpoint: str = ""
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)


class Tokens(msgspec.Struct, frozen=True):
    """The answer to a code; the access token is only compared with its hash."""

    id_token: str
    access_token: str = ""

    def __repr__(self) -> str:
        return "Tokens(***)"


class Keys(msgspec.Struct, frozen=True):
    """The keys that it signs with, and maybe others."""

    keys: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a token has to say to be believed.

    Args:
        issuer: who has to have issued it.
        client_id: for whom.
        nonce: to which question.
        now_s: the time now, in seconds since 1970.
        name_claim: what of it is the login.
        groups_claim: what of it lists the groups.
        acr: how they have to have signed in there; empty for anyhow.
        max_age_s: how long ago at most; 0 for any time.
    """

    issuer: str
    client_id: str
    nonce: Masked[str]
    now_s: int
    name_claim: str
    groups_claim: str
    acr: str = ""
    max_age_s: int = 0


def read_document(written: bytes, issuer: str) -> Document:
    """Return the discovery document.

    Raises:
        IdentityProviderError: it is none, or another provider's, or leads out of TLS.
    """
    document: Document = read(written, Document)
    if document.issuer.rstrip("/") != issuer.rstrip("/"):
        raise IdentityProviderError("its document is another issuer's; see signin.oidc.issuer")
    ends = (document.authorization_endpoint, document.token_endpoint, document.jwks_uri)
    out = (document.end_session_endpoint,) if document.end_session_endpoint else ()
    if not all(map(_is_safe, (*ends, *out))):
        raise IdentityProviderError("its document names addresses that are not encrypted")
    return document


def read(written: bytes, kind: type[Any]) -> Any:
    """Return an answer of a kind.

    Raises:
        IdentityProviderError: it is none; nothing of it is told.
    """
    try:
        return msgspec.json.decode(written, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError):
        pass
    raise IdentityProviderError(NO_ANSWER)


def read_token(tokens: Tokens, keys: Keys, wanted: Wanted) -> Claims:
    """Return whom a token is about, once its signature and all that it says were checked.

    Raises:
        IdentityProviderError: it can't be believed; says which part, and nothing of the person.
    """
    said = _checked(tokens, keys, wanted)
    _refuse_otherwise(said, wanted)
    return _claims(said, wanted)


def _checked(tokens: Tokens, keys: Keys, wanted: Wanted) -> Mapping[str, Any]:
    told = [key for key in keys.keys if key.get("kty") in KEY_KINDS and key.get("use") != "enc"]
    options = {
        "iss": {"essential": True, "value": wanted.issuer},
        "aud": {"essential": True, "value": wanted.client_id},
    }
    params = {
        "nonce": wanted.nonce.reveal(),
        "client_id": wanted.client_id,
        "access_token": tokens.access_token,
    }
    try:
        key_set = KeySet.import_key_set({"keys": told})
        token = jwt.decode(tokens.id_token, key_set, algorithms=ALGORITHMS)
        claims = CodeIDToken(token.claims, token.header, options, params)
        claims.validate(now=wanted.now_s, leeway=LEEWAY_S)
        if str(token.header.get("typ", "")).lower() not in TOKEN_KINDS:
            raise InvalidClaimError("typ")
    except ExpiredTokenError:
        why = "its token has expired, or a clock is wrong"
    except ClaimError as error:
        why = f"its token does not say what it should ({error.claim})"
    except (JoseError, ValueError, TypeError, KeyError):
        why = "its token is not signed by a key of its own"
    else:
        return dict(claims)
    raise IdentityProviderError(why)


def _refuse_otherwise(said: Mapping[str, Any], wanted: Wanted) -> None:
    if wanted.acr and said.get("acr") != wanted.acr:
        raise IdentityProviderError("its token does not say what it should (acr)")
    if wanted.max_age_s:
        at_s = said.get("auth_time", 0)
        if not wanted.now_s - at_s <= wanted.max_age_s + LEEWAY_S:
            raise IdentityProviderError("its token does not say what it should (auth_time)")


def _claims(said: Mapping[str, Any], wanted: Wanted) -> Claims:
    subject, name = said.get("sub"), said.get(wanted.name_claim)
    groups = said.get(wanted.groups_claim, [])
    if not isinstance(subject, str) or not 0 < len(subject) <= LONGEST_SUBJECT:
        raise IdentityProviderError("its token does not say what it should (sub)")
    if not isinstance(name, str):
        raise IdentityProviderError("its token names no login; see signin.oidc.name_claim")
    listed = [groups] if isinstance(groups, str) else groups
    if not isinstance(listed, list):
        raise IdentityProviderError("its token lists no groups; see signin.oidc.groups_claim")
    shown = said.get("name")
    return Claims(
        subject=subject,
        name=name,
        shown=shown if isinstance(shown, str) else name,
        groups=frozenset(one for one in listed[:MOST_GROUPS] if isinstance(one, str)),
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
