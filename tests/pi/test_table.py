"""The table says of each row whether it is well."""

from __future__ import annotations

from tests.pi.table import Result, as_table


def test_columns_stand_below_their_headings() -> None:
    """Each is as wide as its widest cell, and a row that failed says so."""
    rows = [Result("a", "keeps", "on for 3.00 s", "4.0 s", ok=True)]
    rows.append(Result("longer than that", "frees", "on", "4.0 s", ok=False))

    assert as_table(rows).splitlines() == [
        "scenario          kernel  seen           limit",
        "a                 keeps   on for 3.00 s  4.0 s  ok",
        "longer than that  frees   on             4.0 s  FAIL",
    ]
