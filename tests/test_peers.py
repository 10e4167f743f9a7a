"""README's comparison with other doors: each way does the job, and no row is missing."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.benchmark import peers, ways
from tests.benchmark.peers import (
    KEPT,
    SIZES,
    WAYS,
    as_markdown,
    measured_apart,
    problems_of,
    thefts,
)
from tests.benchmark.ways import Ours, Way

OTHERS = [name for name, (_, kind) in WAYS.items() if kind is not Ours]
MOST_LINES = 60
TRIES = {
    "sha256": 1e-7,
    "hmac": 2e-7,
    "bcrypt8": 1e-2,
    "bcrypt12": 0.2,
    "argon2": 0.1,
    "seal": 0.02,
}


@pytest.fixture
def kept() -> dict[str, Any]:
    """The run that README's table is drawn from."""
    kept: dict[str, Any] = json.loads(KEPT.read_text("utf-8"))
    return kept


@pytest.fixture
def way(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Way]:
    """One of the ways of others, ready, with six patrons."""
    made = WAYS[request.param][1](6, tmp_path)
    made.store()
    made.load()
    yield made
    made.close()


def test_the_kept_run_has_every_way_at_each_size(kept: dict[str, Any]) -> None:
    """README's table was drawn from a run that no row is missing of."""
    assert problems_of(kept) == []
    table = as_markdown(kept)
    assert [said for said, _ in WAYS.values() if f"| {said} |" not in table] == []


@pytest.mark.parametrize("row", range(len(WAYS) * len(SIZES)))
def test_a_row_that_is_missing_or_says_nothing_is_a_problem(kept: dict[str, Any], row: int) -> None:
    """The benchmark never passes on a missing row, nor on one of nought."""
    lost = kept["figures"].pop(row)

    assert problems_of(kept) == [f"{lost['way']} at {lost['patrons']:,} patrons: missing"]
    lost["decide_ms"] = 0
    kept["figures"].append(lost)
    (problem,) = problems_of(kept)
    assert problem.endswith("decide_ms: 0")


def test_figures_of_a_busy_machine_say_so(kept: dict[str, Any]) -> None:
    """Others' work of more than a tenth of the processors is named under the table; less is not."""
    busy, quiet = (as_markdown(kept | {"others_share": share}) for share in (0.37, 0.02))

    assert "busy with others' work by 37%: rough" in busy
    assert "busy" not in quiet


@pytest.mark.parametrize("way", OTHERS, indirect=True)
def test_each_way_lets_in_whom_it_should(way: Way) -> None:
    """The patron's card and PIN are let in, a card that is not known and a wrong PIN are not."""
    answers = []
    for card, pin in ((way.card.cpr, way.card.pin), (way.card.cpr, "0001"), ("3112991234", "0000")):
        way.read(card)
        answers.append(way.decide(pin))

    assert answers == [True, not way.asks_pin, False]


def test_each_way_of_others_is_short() -> None:
    """What is compared can be read: none has more than 60 lines."""
    module = ast.parse(Path(ways.__file__).read_text("utf-8"))
    lengths = {
        each.name: (each.end_lineno or 0) - each.lineno + 1
        for each in module.body
        if isinstance(each, ast.ClassDef)
    }

    assert {kind.__name__ for _, kind in WAYS.values()} <= lengths.keys()
    assert [name for name, lines in lengths.items() if lines > MOST_LINES] == []


def test_a_way_is_measured() -> None:
    """The last digit is timed by itself, and a register of 50 000 has its memory."""
    found = measured_apart("sha256", 50_000)

    assert min(found.read_ms, found.decide_ms) > 0
    assert found.added_mb > 1
    assert not found.reckoned


def test_what_a_thief_pays_is_tries_times_the_time_of_one() -> None:
    """Salted rows are searched one by one, others at once; a number in clear costs nothing."""
    found = thefts(50, TRIES)

    search = peers.CPR_NUMBERS / 3600
    assert found["scan-bcrypt"].first_cpr_h == pytest.approx(search * 0.2)
    assert found["scan-bcrypt"].all_cpr_h == pytest.approx(50 * search * 0.2)
    assert found["doorctl"].all_cpr_h == pytest.approx(search * 0.02)
    assert found["doorctl"].all_pins_h == pytest.approx(50 * 10_000 * 2e-7 / 3600)
    assert found["bcrypt-key"].all_cpr_h == 0
    assert found["http"].all_cpr_h is None
    assert found.keys() == WAYS.keys()
