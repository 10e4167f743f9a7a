"""Tables about who signs in to the staff pages; local accounts need none, they are in branch.db."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta

from doorctl.config.lms import is_this_machine, read_address
from doorctl.config.wording import key, shown
from doorctl.core.errors import Problem

Values = Mapping[str, Any]
RoleOfGroup = Annotated[
    str, Meta(pattern=r"^(viewer|staff|manager|dpo|technician)=[^\x00-\x1f]{1,256}\Z")
]

_ADDRESS = (
    r"^(|https?://([A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{1,5})?"
    r"(/[A-Za-z0-9._~-]+)*/?)\Z"
)
_ALLOWED = 'an address that begins with https://, or ""'
_CLAIM = r"^[!-~]{1,128}\Z"


@dataclass(frozen=True, slots=True, kw_only=True)
class Oidc:
    """The municipality's identity provider; an empty issuer for none."""

    issuer: Annotated[
        str,
        key(
            "The identity provider's address: ADFS, Entra, Keycloak, OS2faktor. Its document is "
            "looked for at /.well-known/openid-configuration below it. Empty: none is asked.",
            "https://login.example/realms/kommune",
            _ALLOWED,
            pattern=_ADDRESS,
        ),
    ] = ""
    token_issuer: Annotated[
        str,
        key(
            "What its tokens say of who issued them, where that is not issuer, as ADFS may be set "
            "up. Empty: issuer.",
            "http://adfs.example/adfs/services/trust",
            'an address that begins with https:// or http://, or ""',
            pattern=_ADDRESS,
        ),
    ] = ""
    client_id: Annotated[
        str,
        key(
            "The name under which the identity provider knows this branch's pages.",
            "doorctl-oest",
            'at most 256 visible ASCII characters, or ""',
            pattern=r"^[!-~]{0,256}\Z",
        ),
    ] = ""
    client_secret_file: Annotated[
        Path,
        key(
            "File of one line, the secret that belongs to client_id. A leading "
            "$CREDENTIALS_DIRECTORY/ is where systemd's LoadCredential= puts it.",
            "/etc/doorctl/oidc.secret",
            'a path, or ""',
        ),
    ] = Path()
    redirect_url: Annotated[
        str,
        key(
            "Where the identity provider sends the browser back to, as it is registered there: "
            "this branch's address, and /sign-in/municipality/back.",
            "https://door-oest.example/sign-in/municipality/back",
            _ALLOWED,
            pattern=_ADDRESS,
        ),
    ] = ""
    name_claim: Annotated[
        str,
        key(
            "What of the token is the login; it has to be one that never goes to somebody else.",
            "upn",
            "1 to 128 visible ASCII characters",
            pattern=_CLAIM,
        ),
    ] = "preferred_username"
    groups_claim: Annotated[
        str,
        key(
            "What of the token lists the groups that somebody is in.",
            "roles",
            "1 to 128 visible ASCII characters",
            pattern=_CLAIM,
        ),
    ] = "groups"
    roles: Annotated[
        tuple[RoleOfGroup, ...],
        key(
            "Which group has which role; the first one that somebody is in counts, and who is in "
            "none is refused.",
            ["manager=doorctl-manager", "staff=doorctl-staff"],
            'a list of at most 50 of "ROLE=GROUP", ROLE one of viewer, staff, manager, dpo, '
            "technician",
            max_length=50,
        ),
    ] = ()
    acr: Annotated[
        str,
        key(
            "How somebody has to have signed in there, as two factors: its token's acr, which is "
            "asked for and has to be just this. Empty: as the provider likes.",
            "https://refeds.org/profile/mfa",
            'at most 256 visible ASCII characters, or ""',
            pattern=r"^[!-~]{0,256}\Z",
        ),
    ] = ""
    max_age_min: Annotated[
        int,
        key(
            "Minutes since somebody signed in there after which they do so again before they get "
            "in here; its tokens have to say auth_time. With 5, nobody changes accounts who has "
            "not just done it. 0: as the provider likes.",
            ge=0,
            le=480,
        ),
    ] = 0
    ca_file: Annotated[
        Path,
        key(
            "PEM file of the authority of its certificate. Empty: the system's own authorities.",
            "/etc/doorctl/oidc-ca.pem",
            'a path, or ""',
        ),
    ] = Path()

    @property
    def wanted(self) -> bool:
        """Whether an identity provider is asked."""
        return self.issuer != ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signin:
    """How long staff stay signed in, and who else than this branch identifies them."""

    idle_min: Annotated[
        int,
        key(
            "Minutes of doing nothing after which staff are signed out: fewer where patrons come "
            "near the desk. After 8 hours everybody is.",
            ge=2,
            le=30,
        ),
    ] = 30
    oidc: Oidc = field(default_factory=Oidc)


NONE = ("", Path(), ())
TOGETHER = ("issuer", "client_id", "client_secret_file", "redirect_url", "roles")


def oidc_is_whole(values: Values) -> Iterator[Problem]:
    """All that an identity provider needs is there, or nothing of it."""
    found = {leaf: values.get(f"signin.oidc.{leaf}") for leaf in TOGETHER}
    there = [leaf for leaf, value in found.items() if value is not None and value not in NONE]
    for leaf, value in found.items():
        if there and value in NONE:
            yield Problem(f"signin.oidc.{leaf}", f"missing beside signin.oidc.{there[0]}; give it")


def oidc_is_encrypted(values: Values) -> Iterator[Problem]:
    """Proofs of identity go to another machine, and come back from it, encrypted only."""
    for leaf in ("issuer", "redirect_url"):
        url = values.get(f"signin.oidc.{leaf}")
        if not url:
            continue
        address = read_address(url)
        if address is None or address.port == 0:
            yield Problem(f"signin.oidc.{leaf}", f"found {shown(url)}, whose port is none; mend it")
        elif address.scheme == "http" and not is_this_machine(address.host):
            yield Problem(
                f"signin.oidc.{leaf}",
                f"found {shown(url)}, by which anybody on the way could sign in; give https://",
            )


BACK = "/sign-in/municipality/back"


def oidc_comes_back(values: Values) -> Iterator[Problem]:
    """The browser is sent back to the page that waits for it."""
    url = values.get("signin.oidc.redirect_url")
    if url and not url.endswith(BACK):
        yield Problem("signin.oidc.redirect_url", f"found {shown(url)}; it has to end with {BACK}")


SIGNIN_RULES: tuple[Callable[[Values], Iterator[Problem]], ...] = (
    oidc_is_whole,
    oidc_is_encrypted,
    oidc_comes_back,
)
