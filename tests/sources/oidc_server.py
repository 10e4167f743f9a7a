"""A stand-in for an identity provider: real HTTP on loopback, real keys, tokens to order."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import parse_qs, parse_qsl, quote, urlsplit

from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey

from tests.sources.http_server import Request, answering

CLIENT = "doorctl-oest"
SECRET = "en-hemmelighed/+"  # as registered; travels encoded
REDIRECT = "http://127.0.0.1:9/sign-in/municipality/back"
NOW_S = 1_772_474_400
"""2026-03-02 18:00 UTC, where the tests' clock stands."""


@cache
def own_key() -> RSAKey:
    """The key that the provider tells of."""
    return RSAKey.generate_key(2048, {"kid": "k1", "use": "sig"}, private=True)


@cache
def other_key() -> RSAKey:
    """Another one that bears the same name."""
    return RSAKey.generate_key(2048, {"kid": "k1", "use": "sig"}, private=True)


@dataclass
class OidcScript:
    """How it behaves, and what it was asked.

    `claims`: what a token says beside what it always says; None takes a claim out; `kind`: what
    its head says that it is; None for nothing; `document`: what its document says beside or
    instead of what is right; `replies`: by path, status and body in place of the right ones;
    `issued`: the questions of browsers that were sent there, by code; `asked`: path, headers
    and form of each call.
    """

    claims: dict[str, object] = field(default_factory=dict)
    key: RSAKey | OctKey = field(default_factory=own_key)
    algorithm: str = "RS256"
    kind: str | None = None
    document: dict[str, object] = field(default_factory=dict)
    replies: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    issued: dict[str, dict[str, str]] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, str], dict[str, str]]] = field(default_factory=list)
    issuer: str = ""

    def browse(self, address: str) -> tuple[str, str]:
        """Do what a browser does whose owner signs in there; return state and code."""
        parts = urlsplit(address)
        question = {name: values[0] for name, values in parse_qs(parts.query).items()}
        assert parts.path == "/realm/authorize"
        assert question["response_type"] == "code"
        assert question["client_id"] == CLIENT
        assert question["redirect_uri"] == REDIRECT
        assert question["code_challenge_method"] == "S256"
        assert "openid" in question["scope"].split()
        code = f"code-{len(self.issued)}"
        self.issued[code] = question
        return question["state"], code

    def token(self, form: dict[str, str], headers: dict[str, str]) -> tuple[int, bytes]:
        """Answer a code, once, to the client that asked for it."""
        question = self.issued.pop(form.get("code", ""), None)
        if question is None or not self._shown(form, headers):
            return 400, b'{"error": "invalid_grant"}'
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if challenge != question["code_challenge"] or form["redirect_uri"] != REDIRECT:
            return 400, b'{"error": "invalid_grant"}'
        claims: dict[str, Any] = {
            "iss": self.issuer,
            "aud": CLIENT,
            "sub": "sub-1",
            "exp": NOW_S + 300,
            "iat": NOW_S,
            "nonce": question["nonce"],
            "preferred_username": "abc@kommune.example",
            "name": "Grethe",
            "groups": ["dør-personale", "andre"],
            **self.claims,
        }
        kept = {name: value for name, value in claims.items() if value is not None}
        header = {"alg": self.algorithm, "kid": "k1", **({"typ": self.kind} if self.kind else {})}
        token = jwt.encode(header, kept, self.key, algorithms=[self.algorithm])
        answer = {"id_token": token, "access_token": "a", "token_type": "Bearer"}
        return 200, json.dumps(answer).encode()

    def _shown(self, form: dict[str, str], headers: dict[str, str]) -> bool:
        if "client_secret" in form:
            return (form["client_id"], form["client_secret"]) == (CLIENT, SECRET)
        both = f"{CLIENT}:{quote(SECRET, safe='')}".encode()
        return headers.get("authorization") == f"Basic {base64.b64encode(both).decode()}"

    def answer(self, path: str, form: dict[str, str], headers: dict[str, str]) -> tuple[int, bytes]:
        """Answer one call."""
        self.asked.append((path, headers, form))
        if path in self.replies:
            return self.replies[path]
        if path == "/realm/.well-known/openid-configuration":
            document = {
                "issuer": self.issuer,
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
                "jwks_uri": f"{self.issuer}/keys",
                **self.document,
            }
            return 200, json.dumps(document).encode()
        if path == "/realm/keys":
            foreign = {"kty": "unheard-of", "kid": "k0"}
            keys = [foreign, own_key().as_dict(private=False)]
            return 200, json.dumps({"keys": keys}).encode()
        return self.token(form, headers) if path == "/realm/token" else (404, b"")


@contextmanager
def serving(script: OidcScript) -> Iterator[str]:
    """Serve on a free port; yield the issuer."""

    def answer(request: Request) -> tuple[int, dict[str, str], bytes]:
        headers = {name.lower(): value for name, value in request.headers.items()}
        status, body = script.answer(request.path, dict(parse_qsl(request.body.decode())), headers)
        return status, script.headers, body

    with answering(answer) as port:
        script.issuer = f"http://127.0.0.1:{port}/realm"
        yield script.issuer
