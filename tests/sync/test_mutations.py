import gzip
import os
from contextlib import closing
from pathlib import Path

from tests.sync.mutations import VALID, WAYS, Mutant, Target, try_many

NUMBER = int(os.environ.get("MUTATIONS", "3000"))


def test_no_push_that_was_tampered_with_is_applied() -> None:
    """Every one is refused and leaves the very same database, but for those left as they were."""
    answers = try_many(NUMBER, seed=int(os.environ.get("SEED", "1")))

    assert {how for how, _ in answers} >= {"gzip", *(way.__name__ for way in WAYS)}
    refused = sum(count for (_, answer), count in answers.items() if answer.startswith("Push"))
    assert refused > 0.9 * NUMBER


def test_the_pushes_are_applied_if_nobody_touches_them(tmp_path: Path) -> None:
    """What the mutants are made of is good, so it is the tampering that is refused."""
    with closing(Target(tmp_path)) as target:
        for document in VALID:
            data = document.data()
            assert target.try_out(Mutant("untouched", data, data)) == "identical"
            assert target.try_out(Mutant("packed", gzip.compress(data), data)) == "identical"
