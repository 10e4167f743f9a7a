"""The stand-ins of Koha and FOLIO, their clients and maps name what the published schemas name."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from doorctl.extras.folio import client as folio
from doorctl.extras.koha import client as koha
from tests.mutation.rooms import ROOT
from tests.sources.folio_server import block, user
from tests.sources.koha_server import patron


def names(written: str) -> frozenset[str]:
    """Return names, with blanks between them."""
    return frozenset(written.split())


KOHA_PATRON = names(
    """
    patron_id cardnumber surname firstname preferred_name middle_name title other_name
    initials pronouns street_number street_type address address2 city state postal_code
    country email phone mobile fax secondary_email secondary_phone date_of_birth library_id
    category_id date_enrolled expiry_date date_renewed incorrect_address patron_card_lost
    restricted staff_notes relationship_type gender userid opac_notes statistics_1
    statistics_2 autorenew_checkouts sms_number privacy updated_on last_seen lang
    login_attempts anonymized extended_attributes protected
    """
)
"""git.koha-community.org/Koha-community/Koha, ``api/v1/swagger/definitions/patron.yaml``, without
the other addresses."""

VALIDATED = frozenset({"cardnumber", "patron_id", "userid"})
"""The same, ``api/v1/swagger/paths/auth.yaml``, the answer 201 of validateUserAndPassword."""

FOLIO_USER = names(
    """
    username id externalSystemId barcode active type patronGroup departments meta proxyFor
    personal enrollmentDate expirationDate createdDate updatedDate metadata tags
    customFields preferredEmailCommunication
    """
)
FOLIO_PERSONAL = names(
    """
    pronouns lastName firstName middleName preferredFirstName email phone mobilePhone
    dateOfBirth addresses preferredContactTypeId preferredContactTypeIds profilePictureLink
    """
)
"""github.com/folio-org/mod-users, ``ramls/userdata.json``."""

FOLIO_BLOCK = names(
    """
    type desc code staffInformation patronMessage expirationDate borrowing renewals requests
    userId metadata id
    """
)
"""github.com/folio-org/mod-feesfines, ``ramls/manualblockdata.json``."""


@pytest.mark.parametrize(
    ("written", "published"),
    [
        (patron(1001, "3000001234"), KOHA_PATRON),
        (user(1001, "3000001234"), FOLIO_USER),
        (user(1001, "3000001234")["personal"], FOLIO_PERSONAL),
        (block(1001), FOLIO_BLOCK),
    ],
)
def test_a_stand_in_says_nothing_that_the_system_does_not(
    written: dict[str, object], published: frozenset[str]
) -> None:
    """Else a client would be tried by a field that there is none of."""
    assert written.keys() <= published


@pytest.mark.parametrize(
    ("kind", "published"),
    [
        (koha.KohaPatron, KOHA_PATRON),
        (koha.Validated, VALIDATED),
        (folio.User, FOLIO_USER),
        (folio.Personal, FOLIO_PERSONAL),
        (folio.ManualBlock, FOLIO_BLOCK),
    ],
)
def test_a_client_reads_nothing_that_the_system_does_not_say(
    kind: type[msgspec.Struct], published: frozenset[str]
) -> None:
    """A name of ours that is spelt otherwise would never be there, and so never a block."""
    assert {field.encode_name for field in msgspec.structs.fields(kind)} <= published


def paths(entry: Any) -> Iterator[str]:
    """Yield the first step of each path in a map."""
    if isinstance(entry, str):
        yield entry.partition(".")[0]
    elif isinstance(entry, list):
        for each in entry:
            yield from paths(each)
    else:
        yield from paths(entry["from"]) if "from" in entry else paths([*entry.values()])


@pytest.mark.parametrize(("name", "published"), [("koha-api", KOHA_PATRON), ("folio", FOLIO_USER)])
def test_a_ready_map_names_what_the_system_says(name: str, published: frozenset[str]) -> None:
    """Its fields stand in the schema of the call that it is for."""
    text = (ROOT / "config/sources" / f"{name}.toml").read_text("utf-8")

    assert {*paths(tomllib.loads(text)["source"]["map"])} <= published
