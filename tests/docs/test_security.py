"""SECURITY.md, ASVS.md: every requirement once, each test in being, and what the code shows.

Bug (ASVS 5.0, read whole): the key by which a branch knows browsers was drawn by SQLite's
`randomblob`.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PRODUCT = ROOT / "doorctl"
PAGES = ("SECURITY.md", "ASVS.md")
TEXT = "\n".join((PRODUCT / "web" / page).read_text(encoding="utf-8") for page in PAGES)
ROW = re.compile(
    r"^\| (?P<id>V\d+\.\d+\.\d+) \| (?P<state>met|n/a|open) "
    r"\| (?P<asks>[^|]+) \| (?P<how>[^|]+) \|$",
    re.MULTILINE,
)
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")

LEVELS_1_AND_2 = """
V1.1 1-2, V1.2 1-9, V1.3 1-11, V1.4 1-3, V1.5 1-2, V2.1 1-3, V2.2 1-3, V2.3 1-4, V2.4 1-1,
V3.2 1-2, V3.3 1-4, V3.4 1-6, V3.5 1-5, V3.7 1-2, V4.1 1-3, V4.2 1-1, V4.3 1-2, V4.4 1-4,
V5.1 1-1, V5.2 1-3, V5.3 1-2, V5.4 1-3, V6.1 1-3, V6.2 1-12, V6.3 1-4, V6.4 1-4, V6.5 1-5,
V6.6 1-3, V6.8 1-4, V7.1 1-3, V7.2 1-4, V7.3 1-2, V7.4 1-5, V7.5 1-2, V7.6 1-2, V8.1 1-2,
V8.2 1-3, V8.3 1-1, V8.4 1-1, V9.1 1-3, V9.2 1-4, V10.1 1-2, V10.2 1-2, V10.3 1-4, V10.4 1-11,
V10.5 1-5, V10.6 1-2, V10.7 1-3, V11.1 1-2, V11.2 1-3, V11.3 1-3, V11.4 1-4, V11.5 1-1, V11.6 1-1,
V12.1 1-3, V12.2 1-2, V12.3 1-4, V13.1 1-1, V13.2 1-5, V13.3 1-2, V13.4 1-5, V14.1 1-2, V14.2 1-4,
V14.3 1-3, V15.1 1-3, V15.2 1-3, V15.3 1-7, V16.1 1-1, V16.2 1-5, V16.3 1-4, V16.4 1-3, V16.5 1-3,
V17.1 1-1, V17.2 1-4, V17.3 1-2
"""
"""The numbers of ASVS 5.0.0; what is left out of a section is of level 3."""

MOST_OPEN = 5

CRYPTOGRAPHY = re.compile(
    r"\bhashlib\.\w|\bhmac\.(?:new|digest)|\bsecrets\.(?:token|randbelow|choice)|\bnacl\.|\bargon2\b"
    r"|\bjoserfc\b|\bset_ciphers|ssl_ciphers|create_s256"
)
FORBIDDEN = re.compile(r"\brandomblob\b|\bmd5\b|\bsha1\b|^(?:import|from) random\b", re.MULTILINE)

BUILT = {"account.py"}
"""Modules that put an expression together: of constants of ours, which stand in them."""

OPEN = re.compile(r"(?<!\bos)\.open\(\s*\"?([^,\"]+)\"?, (?:self\._)?\w+")


def product(*folders: str) -> dict[Path, str]:
    """Return the text of each module of some folders of doorctl, without the demonstration's."""
    found = (path for folder in folders or ("",) for path in (PRODUCT / folder).rglob("*.py"))
    ours = (path for path in found if "demo" not in path.relative_to(PRODUCT).parts)
    return {path: path.read_text("utf-8") for path in ours}


@cache
def names_in(path: str) -> frozenset[str]:
    """Return the names of a file's tests."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, kinds))


def numbers() -> list[str]:
    """Return every number of levels 1 and 2, in order."""
    found = re.findall(r"(V\d+\.\d+) (\d+)-(\d+)", LEVELS_1_AND_2)
    return [f"{name}.{n}" for name, first, last in found for n in range(int(first), int(last) + 1)]


def test_every_requirement_is_there_once() -> None:
    """None is left out quietly, and none is answered twice in two ways."""
    assert len(numbers()) == 253
    assert [row["id"] for row in ROW.finditer(TEXT)] == numbers()


def test_the_counts_are_those_of_the_rows() -> None:
    """The line over the tables says how many are met, concern nobody, and are open."""
    states = Counter(row["state"] for row in ROW.finditer(TEXT))
    counted = (
        f"**{states.total()} requirements: {states['met']} met, {states['n/a']} not applicable, "
        f"{states['open']} open.**"
    )

    assert counted in TEXT
    assert states["open"] <= MOST_OPEN


def test_what_is_met_is_shown_and_what_is_open_ends() -> None:
    """By a test at least; what concerns nobody says why, and what is open until when."""
    for row in ROW.finditer(TEXT):
        if row["state"] == "met":
            assert NAMED.search(row["how"]), row["id"]
        else:
            assert re.search(r"\w", NAMED.sub("", row["how"])), row["id"]
        ends = "until " in row["how"] and row["state"] != "met"
        assert (row["state"] == "open") == ends, row["id"]


def test_every_test_exists() -> None:
    """A test that was renamed leaves an empty claim."""
    named = sorted(set(NAMED.findall(TEXT)))
    assert [f"{path}::{name}" for path, name in named if name not in names_in(path)] == []


def test_no_name_of_a_test_is_overlooked() -> None:
    """What looks like one is written as one, or nobody would check it."""
    assert len(NAMED.findall(TEXT)) == TEXT.count("::")


def test_a_hole_is_reported_as_the_first_lines_say() -> None:
    """Before anything else, and README leads there."""
    assert TEXT.startswith("# Security\n\n**You have found a hole?**")
    assert "(doorctl/web/SECURITY.md)" in (ROOT / "README.md").read_text("utf-8")


def test_every_section_that_rows_point_to_is_there() -> None:
    """With a table of its own."""
    for heading in (
        "Data",
        "Ways in",
        "Keys and algorithms",
        "Logs",
        "What is bounded",
        "Faults in what doorctl is made of",
    ):
        assert re.search(rf"^## {heading}\n(?:(?!## ).*\n)*?\|---", TEXT, re.MULTILINE), heading


def test_every_use_of_cryptography_is_listed() -> None:
    """Each file that hashes, signs or draws stands in the table of keys; none uses what is weak."""
    listed = TEXT.split("## Keys and algorithms")[1].split("\n## ")[0]
    modules = product()
    users = {path.name for path, text in modules.items() if CRYPTOGRAPHY.search(text)}

    assert {name for name in users if f"`{name}`" not in listed} == set()
    assert [path for path, text in modules.items() if FORBIDDEN.search(text)] == []


def test_the_linter_refuses_what_the_list_says() -> None:
    """Statements and commands that are put together, code that comes in, pickles, loose types."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]
    ignored = {*project["ruff"]["lint"]["ignore"]}
    for paths, rules in project["ruff"]["lint"]["per-file-ignores"].items():
        assert paths.startswith("tests/") or not any(one.startswith("S") for one in rules)

    assert project["ruff"]["lint"]["select"] == ["ALL"]
    assert not [rule for rule in ignored if re.fullmatch(r"S\d*", rule)]
    assert project["mypy"]["strict"] is True


def test_no_expression_is_built_of_what_comes_in() -> None:
    """What makes one of anything but a text of its own is known here; so are templates."""
    made = re.compile(r"\bre\.\w+\((?!\s*(?:r?b?\"|[A-Z_]+, ))[^\n]*")
    found = {
        (path.name, text[one.start() : one.end()])
        for path, text in product("web", "accounts", "sync").items()
        for one in made.finditer(text)
    }

    assert {name for name, _ in found} == BUILT, found
    assert not any("from_string(" in text for text in product().values())


def test_every_page_that_asks_for_no_account_is_known() -> None:
    """One that is open to everybody stands here, or it is a way round all the others."""
    found = {one for text in product("web", "extras").values() for one in OPEN.findall(text)}

    assert found == {
        *("/", "SIGN_IN", "SIGN_OUT", "/language", "MUNICIPALITY", "BACK", "/help"),
        "/help/{page}",
    }


ALONE = {"demo.html", "panel.html", "subject_letter.html", "objection_letter.html"}


def test_every_page_has_the_way_out() -> None:
    """In the frame of each, for whoever is signed in; letters and fragments stand in none."""
    frames = (PRODUCT / "web" / "templates").glob("*.html")
    alone = {path.name for path in frames if "<html" in path.read_text("utf-8")}
    layout = (PRODUCT / "web" / "templates" / "layout.html").read_text("utf-8")

    assert alone - ALONE == {"layout.html"}
    assert re.search(r'{% if person %}.*action="/sign-out".*{% endif %}', layout, re.DOTALL)


def test_no_script_keeps_or_changes_what_is_not_its_own() -> None:
    """None stores more than whether the screen speaks, or writes to what is named from outside."""
    for path in (PRODUCT / "web" / "static").glob("*.js"):
        script = path.read_text("utf-8")
        stored = re.findall(r"(?:local|session)Storage\.(\w+)\((\"\w+\")", script)
        assert {what for _, what in stored} <= {'"speak"'}, path.name
        assert script.count("Storage") == len(stored)
        assert not re.search(r"indexedDB|\.cookie\b|__proto__", script), path.name
        assert not re.search(r"\w\[[^\]]+\]\s*=[^=]", script), path.name
        assert "postMessage" not in script


def test_nothing_of_the_demonstration_is_in_the_processes() -> None:
    """No module but its own and its command knows it, so no route of web is the demonstration's."""
    users = {path for path, text in product().items() if re.search(r"doorctl\.demo\b", text)}

    assert {path.relative_to(PRODUCT).parts[0] for path in users} <= {"cli"}


@pytest.mark.parametrize("unit", ["doorctl-door.service", "doorctl-web.service"])
def test_the_units_say_whom_they_speak_with(unit: str) -> None:
    """Nobody for the door, private networks for web; what is more is written into a drop-in."""
    text = (ROOT / "systemd" / unit).read_text("utf-8")
    allowed = re.findall(r"^IPAddressAllow=(.*)$", text, re.MULTILINE)

    assert re.search(r"^IPAddressDeny=any$", text, re.MULTILINE)
    assert len(allowed) == (unit == "doorctl-web.service")
    assert "any" not in " ".join(allowed).split()
