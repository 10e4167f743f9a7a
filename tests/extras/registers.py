"""Registers of an invented library as each system exports them: who lives here, and who may not."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

FIRST_CARD = 3_000_000_001
BORN = date(1970, 1, 31)
PIN = "0711"
HERE, GUEST = "00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002"
TYPES = "https://bib.rero.ch/api/patron_types/"


@dataclass(frozen=True)
class Invented:
    """One patron: each fifth lives elsewhere, each tenth is kept out."""

    number: int

    @property
    def card(self) -> str:
        """The number on the card."""
        return str(FIRST_CARD + self.number)

    @property
    def born(self) -> date:
        """A birthday, of every day of the year."""
        return BORN + timedelta(days=37 * self.number)

    @property
    def is_here(self) -> bool:
        """Whether they live in the municipality."""
        return self.number % 5 != 4

    @property
    def is_kept_out(self) -> bool:
        """Whether the library system blocks them."""
        return self.number % 10 == 9


EVERYBODY = tuple(map(Invented, range(30)))

Write = Callable[[Invented], Any]


def _sheet(header: str, cells: Callable[[Invented], Iterable[object]], by: str = ",") -> str:
    lines = (by.join(map(str, cells(each))) for each in EVERYBODY)
    return "\n".join([header.replace(",", by), *lines]) + "\n"


def _alma(one: Invented) -> dict[str, Any]:
    block = {"block_type": {"value": "GENERAL"}, "block_status": "ACTIVE"}
    return {
        "primary_id": f"b{one.number}",
        "birth_date": f"{one.born}Z",
        "user_group": {"value": "BORGER" if one.is_here else "GAEST"},
        "status": {"value": "ACTIVE"},
        "expiry_date": "2030-01-31Z",
        "user_identifier": [{"value": one.card, "id_type": {"value": "BARCODE"}}],
        "user_block": [block] * one.is_kept_out,
    }


def _alma_xml(one: Invented) -> str:
    block = "<user_block><block_type>GENERAL</block_type><block_status>ACTIVE</block_status>"
    return (
        f"<user><primary_id>b{one.number}</primary_id><birth_date>{one.born}Z</birth_date>"
        f'<user_group desc="x">{"BORGER" if one.is_here else "GAEST"}</user_group>'
        "<status>ACTIVE</status><expiry_date>2030-01-31Z</expiry_date><user_identifiers>"
        f"<user_identifier><id_type>BARCODE</id_type><value>{one.card}</value></user_identifier>"
        f"</user_identifiers><user_blocks>{f'{block}</user_block>' * one.is_kept_out}</user_blocks>"
        "</user>"
    )


def _koha(one: Invented) -> dict[str, Any]:
    return {
        "patron_id": one.number + 1,
        "cardnumber": one.card,
        "date_of_birth": str(one.born),
        "category_id": "BORGER" if one.is_here else "GAEST",
        "expiry_date": "2030-01-31",
        "restricted": one.is_kept_out,
        "incorrect_address": None,
        "patron_card_lost": False,
    }


def _folio(one: Invented) -> dict[str, Any]:
    return {
        "id": f"u{one.number}",
        "barcode": one.card,
        "active": not one.is_kept_out,
        "patronGroup": HERE if one.is_here else GUEST,
        "personal": {"dateOfBirth": f"{one.born}T00:00:00.000+00:00", "lastName": "Navnesen"},
        "expirationDate": "2030-01-31T23:59:59.000+00:00",
    }


def _sierra(one: Invented) -> dict[str, Any]:
    return {
        "id": one.number + 1,
        "barcodes": [one.card],
        "birthDate": str(one.born),
        "expirationDate": "2030-01-31",
        "patronType": 3 if one.is_here else 9,
        "blockInfo": {"code": "c" if one.is_kept_out else "-"},
    }


def _rero(one: Invented) -> dict[str, Any]:
    kind = {"$ref": f"{TYPES}{7 if one.is_here else 8}"}
    patron = {"type": kind, "expiration_date": "2030-01-31", "barcode": [one.card]}
    return {"pid": str(one.number), "patron": patron | {"blocked": one.is_kept_out}}


def _fbs(one: Invented) -> dict[str, Any]:
    card = {"identifier": one.card, "identifierType": "CARD", "status": "ACTIVE"}
    return {
        "patronId": one.number + 1,
        "identifiers": [card],
        "pincode": PIN,
        "resident": one.is_here,
        "birthday": str(one.born),
        "blockStatus": [{"blockedReason": "D"}] * one.is_kept_out,
    }


def _list(write: Write) -> list[Any]:
    return [write(each) for each in EVERYBODY]


REGISTERS: dict[str, tuple[str, str]] = {
    "koha-report": (
        "01-full.csv",
        _sheet(
            "borrowernumber,cardnumber,dateofbirth,categorycode,dateexpiry,debarred,gonenoaddress,lost",
            lambda one: (
                *(one.number + 1, one.card, one.born, "BORGER" if one.is_here else "GAEST"),
                *("2030-01-31", "9999-12-31" * one.is_kept_out, "0", ""),
            ),
        ),
    ),
    "koha-api": ("01-full.json", json.dumps(_list(_koha))),
    "folio": ("01-full.json", json.dumps({"users": _list(_folio), "totalRecords": 30})),
    "alma-json": ("01-full.json", json.dumps({"user": _list(_alma)})),
    "alma-xml": ("01-full.xml", f"<users>{''.join(_list(_alma_xml))}</users>"),
    "sierra": ("01-full.json", json.dumps({"total": 30, "entries": _list(_sierra)})),
    "evergreen": (
        "01-full.csv",
        _sheet(
            "id,barcode,dob,profile,expire_date,active,barred",
            lambda one: (
                *(one.number + 1, one.card, one.born, 11 if one.is_here else 12),
                *("2030-01-31 00:00:00+01", 1, int(one.is_kept_out)),
            ),
        ),
    ),
    "rero-ils": ("01-full.json", json.dumps(_list(_rero))),
    "sirsidynix": (
        "01-full.txt",
        _sheet(
            "USER_KEY,USER_ID,BIRTH_DATE,PROFILE,EXPIRES,STATUS",
            lambda one: (
                *(one.number + 1, one.card, f"{one.born:%Y%m%d}"),
                *("BORGER" if one.is_here else "GAEST", "20300131"),
                "BARRED" if one.is_kept_out else "OK",
            ),
            "|",
        ),
    ),
    "spreadsheet": (
        "01-full.csv",
        _sheet(
            "Nummer,Kort,PIN,Født,Bor her,Gyldig til,Spærret",
            lambda one: (
                *(one.number + 1, f'="{one.card}"', f'="{PIN}"', f"{one.born:%d-%m-%Y}"),
                *("Ja" if one.is_here else "Nej", "31-01-2030", "x" * one.is_kept_out),
            ),
            ";",
        ),
    ),
    "fbs": ("01-full.ndjson", "".join(f"{json.dumps(row)}\n" for row in _list(_fbs))),
    "another": (
        "01-full.json",
        json.dumps(
            {
                "laanere": [
                    {
                        "nr": one.number + 1,
                        "kort": one.card,
                        "født": f"{one.born:%d.%m.%Y}",
                        "kommune": "her" if one.is_here else "andetsteds",
                        "tilstand": "spærret" if one.is_kept_out else "i orden",
                        "navn": "Søren Navnesen",
                    }
                    for one in EVERYBODY
                ]
            }
        ),
    ),
}
"""System -> the name of its export, and what is in it: 30 patrons, six guests, three kept out."""
