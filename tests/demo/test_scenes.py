import ast
import inspect
import re
from collections.abc import Iterator

from doorctl.core.language import DANISH, own
from doorctl.demo import evening, open_house
from doorctl.demo.patrons import ANNA, CAST, EVENING, Visit, comes


def test_each_of_the_cast_comes_with_the_right_pin() -> None:
    """A refusal is the card's, never a slip of the table; all of the cast have their scene."""
    assert {comes(role) for role in CAST} <= {visit for scene in EVENING for visit in scene.visits}


def test_a_swipe_that_the_reader_kept_is_followed_by_its_pin() -> None:
    """Only then would a door that took the old swipe open, and the scene go wrong."""
    kept = [visit for scene in EVENING for visit in scene.visits if visit.kept]

    assert kept == [Visit(ANNA.swipe, ANNA.pin, None, kept=True)]
    assert EVENING[-1].visits == (), "the purge is proved when the evening's visits are on record"


def test_the_evening_goes_forward() -> None:
    """Times are Danish clock times and only grow."""
    times = [scene.at for scene in EVENING]

    assert times == sorted(times)
    assert all(re.fullmatch(r"(19|2[0-2])\.[0-5][0-9]", at) for at in times)


def told() -> Iterator[str]:
    """Yield every text that the demo tells: of the scenes, and those in the code."""
    for scene in EVENING:
        yield from (scene.title, scene.story)
    for module in (evening, open_house):
        for node in ast.walk(ast.parse(inspect.getsource(module))):
            if isinstance(node, ast.Call):
                name = getattr(node.func, "attr", getattr(node.func, "id", None))
                if name in {"tell", "in_both"} and isinstance(node.args[0], ast.Constant):
                    yield str(node.args[0].value)


def test_all_is_told_in_both_languages() -> None:
    """Nobody is left with half a story."""
    texts = list(told())

    assert len(texts) > 30
    assert [text for text in texts if own(DANISH).words.gettext(text) == text] == []
