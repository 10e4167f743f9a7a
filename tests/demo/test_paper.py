import io
import json
from contextlib import redirect_stdout

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorctl.demo.evening import Paper, visible
from doorctl.demo.patrons import EVENING, stripe


class Terminal(io.StringIO):
    """A stream that says that somebody looks at it."""

    def __init__(self, encoding: str = "utf-8") -> None:
        super().__init__()
        self._encoding = encoding

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The encoding of the terminal."""
        return self._encoding

    def isatty(self) -> bool:
        """It is a terminal."""
        return True


def shown(paper: Paper) -> str:
    """All kinds of text, written on that paper."""
    seen = io.StringIO()
    with redirect_stdout(seen):
        for scene in EVENING:
            paper.heading(scene.at, scene.title, "1/1")
            paper.tell(scene.story)
        paper.item("relæ/relay", "● TIL / on", "good")
        paper.item("✗", "○ …")
        paper.raw("log", json.dumps({f"key{n}": "value" for n in range(20)}))
        paper.quote("Døren " * 40)
        paper.table([("a", "b"), ("å", "ord " * 40)])
    return seen.getvalue()


@pytest.mark.parametrize(
    ("stream", "environment", "coloured"),
    [
        (io.StringIO(), {"TERM": "xterm", "LANG": "da_DK.UTF-8"}, False),
        (Terminal(), {"TERM": "xterm", "NO_COLOR": "1"}, False),
        (Terminal(), {"TERM": "dumb"}, False),
        (Terminal(), {}, False),
        (Terminal(), {"TERM": "xterm"}, True),
    ],
)
def test_only_a_terminal_that_can_gets_colours(
    stream: io.StringIO, environment: dict[str, str], *, coloured: bool
) -> None:
    """English is dimmed, what is good is green; a file or a mail holds text only."""
    text = shown(Paper.fitting(stream, environment))

    assert ("\x1b" in text, "\x1b[2m" in text, "\x1b[32m" in text) == (coloured,) * 3


@pytest.mark.parametrize(
    ("environment", "encoding", "ascii_only"),
    [
        ({}, "utf-8", False),
        ({"LANG": "da_DK.UTF-8"}, "UTF-8", False),
        ({"LANG": "da_DK.UTF-8"}, "iso-8859-1", True),
        ({"LANG": "C"}, "utf-8", True),
        ({"LANG": "C", "LC_CTYPE": "C.UTF-8"}, "utf-8", True),
        ({"LANG": "C", "LC_CTYPE": "da_DK.UTF-8"}, "utf-8", False),
        ({"LC_CTYPE": "C.UTF-8"}, "utf-8", False),
        ({"LC_ALL": "POSIX", "LANG": "da_DK.UTF-8"}, "utf-8", True),
        ({"LC_ALL": "C.UTF-8", "LANG": "C"}, "utf-8", False),
    ],
)
def test_ascii_is_all_that_a_c_locale_gets(
    environment: dict[str, str], encoding: str, *, ascii_only: bool
) -> None:
    """Also where Python itself would write UTF-8, having set LC_CTYPE (PEP 538)."""
    assert Paper.fitting(Terminal(encoding), environment).ascii_only is ascii_only


def test_ascii_paper_writes_danish_as_danes_do_without_the_letters() -> None:
    """Nothing but ASCII comes out, and it can still be read."""
    text = shown(Paper(ascii_only=True))

    assert text.isascii()
    assert "relae/relay" in text
    assert "Doeren Doeren" in text


@pytest.mark.parametrize("columns", [60, 80, 120])
@pytest.mark.parametrize("ascii_only", [False, True])
def test_no_line_is_longer_than_the_terminal(columns: int, *, ascii_only: bool) -> None:
    """Nothing is broken in the middle of a word by the terminal."""
    text = shown(Paper(columns=columns, ascii_only=ascii_only, live=True))

    assert max(len(line) for line in text.splitlines()) <= columns


def test_a_piped_log_line_stays_whole() -> None:
    """A program can read it."""
    text = shown(Paper())
    [line] = [line for line in text.splitlines() if "key19" in line]

    assert len(json.loads(line.split("log", 1)[1])) == 20


@given(st.binary(max_size=300))
def test_visible_bytes_are_printable_ascii(data: bytes) -> None:
    """Whatever a reader sends or a viewer types, no control character reaches the terminal."""
    text = visible(data)

    assert text.replace("…", ".").isascii()
    assert text.isprintable()


def test_a_stripe_is_shown_without_the_middle_of_track_1() -> None:
    """It fits on a line, and track 2, which counts, is whole."""
    text = visible(stripe("1102701234"))

    assert text == r"%DOE^JOHN JOHNNY … ;9208100411027012341041173083461010814?\r"


def test_surrogates_are_written_as_question_marks() -> None:
    """What could not be decoded when it was typed does not end the demo."""
    seen = io.StringIO()
    with redirect_stdout(seen):
        Paper().tell("\udcff")

    assert seen.getvalue() == "  ?\n  ?\n"
