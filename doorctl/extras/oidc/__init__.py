"""Signing in by the municipality's identity provider, over OpenID Connect."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta

from doorctl.config.rules import Values, encrypted, together
from doorctl.config.tables import address_key, key, list_key, shown, visible_key
from doorctl.core.errors import Problem
from doorctl.extras.extra import Extra, SignInParts

if TYPE_CHECKING:
    from doorctl.web.staff.entrance import Elsewhere

RoleOfGroup = Annotated[
    str, Meta(pattern=r"^(viewer|staff|manager|dpo|technician)=[^\x00-\x1f]{1,256}\Z")
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Oidc:
    """The municipality's identity provider; an empty issuer for none."""

    issuer: str = address_key("https://login.example/realms/kommune")
    token_issuer: str = address_key(
        "http://adfs.example/adfs/services/trust", "https:// or http://"
    )
    client_id: str = visible_key("doorctl-oest")
    client_secret_file: Path = key(Path(), example="/etc/doorctl/oidc.secret")
    redirect_url: str = address_key("https://door-oest.example/sign-in/municipality/back")
    name_claim: str = visible_key("upn", "preferred_username", most=128)
    groups_claim: str = visible_key("roles", "groups", most=128)
    roles: tuple[RoleOfGroup, ...] = list_key(
        'of "ROLE=GROUP", ROLE one of viewer, staff, manager, dpo, technician',
        50,
        ["manager=doorctl-manager", "staff=doorctl-staff"],
    )
    acr: str = visible_key("https://refeds.org/profile/mfa")
    max_age_min: int = key(0, within=(0, 480))
    ca_file: Path = key(Path(), example="/etc/doorctl/oidc-ca.pem")


TABLE = "signin.oidc"
NEEDED = ("issuer", "client_id", "client_secret_file", "redirect_url", "roles")
PROOFS = "by which anybody on the way could sign in"
MUNICIPALITY = "/sign-in/municipality"
BACK = f"{MUNICIPALITY}/back"


def oidc_comes_back(values: Values) -> Iterator[Problem]:
    """The browser is sent back to the page that waits for it."""
    url = values.get(f"{TABLE}.redirect_url")
    if url and not url.endswith(BACK):
        yield Problem(f"{TABLE}.redirect_url", f"found {shown(url)}; it has to end with {BACK}")


def elsewhere(parts: SignInParts) -> Elsewhere | None:
    """Return the pages of the provider; None where [signin.oidc] names no issuer."""
    from doorctl.extras.oidc.pages import Municipality
    from doorctl.extras.oidc.signing_in import ProviderSigningIn

    (oidc,) = parts.frame.app.config.all_of(Oidc)
    if not oidc.issuer:
        return None
    clock = parts.frame.app.clock
    return Municipality(parts.frame, ProviderSigningIn(oidc, parts.signing_in, clock))


EXTRA = Extra(
    section=Oidc,
    rules=(
        partial(together, table=TABLE, leaves=NEEDED),
        partial(encrypted, name=f"{TABLE}.issuer", danger=PROOFS),
        partial(encrypted, name=f"{TABLE}.redirect_url", danger=PROOFS),
        oidc_comes_back,
    ),
    modules=("authlib",),
    elsewhere=elsewhere,
)
