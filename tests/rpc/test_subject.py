"""A person's rights on their way to the owner of a database, over a real socket."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from doorctl.core.errors import StoreError
from doorctl.privacy.subject import ALL_GONE, HeldVisit, PartErased, Subject
from doorctl.rpc.control import Done, Question
from doorctl.rpc.door import ERASE_RIGHTS, SubjectRequest, about
from tests.rpc.serving import serving

WHO = Subject(frozenset({bytes(16), bytes(range(16))}), "p-1")
NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
LIMIT_S = 60.0


def ask(path: Path, subject: Subject = WHO, why: str = "sag 2026-17") -> PartErased:
    """Ask the question."""
    return ERASE_RIGHTS.ask(path, about(subject, "eva", 7, why), timeout_s=LIMIT_S).done


@pytest.mark.parametrize("who", [WHO, Subject(frozenset(), "p-1"), Subject(frozenset({bytes(16)}))])
def test_who_by_whom_and_what_came_of_it_arrive_whole(who: Subject, tmp_path: Path) -> None:
    """The owner erases whoever the command meant, and the command learns what is left."""
    part = PartErased(3, ALL_GONE, 7, (HeldVisit(4, "2026-17", NOON),))
    asked = []

    def work(told: SubjectRequest) -> Done[PartErased]:
        asked.append(told)
        return Done(part)

    with serving(tmp_path / "s", ERASE_RIGHTS.answered(work)) as path:
        assert ask(path, who) == part
    assert asked == [about(who, "eva", 7, "sag 2026-17")]
    assert asked[0].subject == who


def test_a_process_of_the_version_before_understands_what_has_no_reason(tmp_path: Path) -> None:
    """It refuses fields that it does not know; the door and the register are told no reason.

    What it answers is not taken for an erasure where it is none.
    """
    fields = []

    def answer(question: Question) -> dict[str, object]:
        assert isinstance(question.about, dict)
        fields.append(sorted(question.about))
        return {"done": {"rows": "all"}}

    with (
        serving(tmp_path / "s", {ERASE_RIGHTS.name: answer}) as path,
        pytest.raises(StoreError, match="another version"),
    ):
        ask(path, why="")

    assert fields == [["by", "epoch", "patron_ref", "row_keys"]]


def test_a_question_shows_nobody() -> None:
    """Neither the question nor what it is about can be printed."""
    assert "p-1" not in repr(Question(ERASE_RIGHTS.name, {"patron_ref": "p-1"}))
    assert "p-1" not in repr(about(WHO, "eva", 0))
