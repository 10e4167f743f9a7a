"""A person's rights on their way to the owner of a database, over a real socket."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from doorctl.core.errors import InputError, StoreError
from doorctl.privacy.subject import ALL_GONE, HeldVisit, PartErased, Subject
from doorctl.rpc.control import LINE_LIMIT, ControlServer, Question
from doorctl.rpc.door import ERASE_RIGHTS, Asked, answering, ask_about, erased

WHO = Subject(frozenset({bytes(16), bytes(range(16))}), "p-1")
NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
LIMIT_S = 60.0


@contextmanager
def served(directory: Path, work: Callable[[Asked], object]) -> Iterator[Path]:
    """Answer one question on a socket."""
    server = ControlServer(directory / "s", {ERASE_RIGHTS: answering(work)})
    server.start()
    yield directory / "s"
    server.stop()


def ask(path: Path, subject: Subject = WHO, why: str = "sag 2026-17") -> object:
    """Ask the question."""
    asked = Asked(subject, "eva", 7, why)
    return ask_about(path, ERASE_RIGHTS, asked, whom="web", timeout_s=LIMIT_S)


@pytest.mark.parametrize("who", [WHO, Subject(frozenset(), "p-1"), Subject(frozenset({bytes(16)}))])
def test_who_by_whom_and_what_came_of_it_arrive_whole(who: Subject, tmp_path: Path) -> None:
    """The owner erases whoever the command meant, and the command learns what is left."""
    part = PartErased(3, ALL_GONE, 7, (HeldVisit(4, "2026-17", NOON),))
    asked = []

    def work(told: Asked) -> PartErased:
        asked.append(told)
        return part

    with served(tmp_path, work) as path:
        assert erased(ask(path, who)) == part
    assert asked == [Asked(who, "eva", 7, "sag 2026-17")]


def test_a_process_of_the_version_before_understands_what_has_no_reason(tmp_path: Path) -> None:
    """It refuses fields that it does not know; the door and the register are told no reason."""
    fields = []

    def answer(question: Question) -> dict[str, object]:
        assert isinstance(question.about, dict)
        fields.append(sorted(question.about))
        return {"done": None}

    server = ControlServer(tmp_path / "s", {ERASE_RIGHTS: answer})
    server.start()
    ask(tmp_path / "s", why="")
    server.stop()

    assert fields == [["by", "epoch", "patron_ref", "row_keys"]]


@pytest.mark.parametrize("kind", [InputError, StoreError])
def test_a_refusal_and_a_failure_arrive_as_what_they_are(
    kind: type[Exception], tmp_path: Path
) -> None:
    """With the owner's own sentence."""

    def work(_asked: Asked) -> None:
        raise kind("why not")

    with served(tmp_path, work) as path, pytest.raises(kind, match="why not"):
        ask(path)


def test_an_answer_of_another_version_is_told() -> None:
    """And not taken for an erasure."""
    with pytest.raises(StoreError, match="another version"):
        erased({"rows": "all"})


def test_more_cards_than_fit_are_refused_here(tmp_path: Path) -> None:
    """A question that the owner would cut off is not asked."""
    many = Subject(frozenset(number.to_bytes(16, "big") for number in range(LINE_LIMIT // 24)))

    with pytest.raises(InputError, match="too many cards"):
        ask(tmp_path / "nobody", many)


def test_a_question_shows_nobody() -> None:
    """Neither the question nor what it is about can be printed."""
    assert "p-1" not in repr(Question(ERASE_RIGHTS, {"patron_ref": "p-1"}))
