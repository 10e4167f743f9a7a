"""The description of the HTTP interface leaves nothing out, and is what is answered.

The questions are schemathesis's, right and wrong ones, the same each time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import httpx2
import pytest
from hypothesis import HealthCheck, Phase, core, given, seed, settings
from hypothesis.errors import Unsatisfiable
from hypothesis.internal.conjecture import engine
from hypothesis.strategies import SearchStrategy
from hypothesis.strategies._internal import collections
from hypothesis.vendor.pretty import RepresentationPrinter

import doorctl
from doorctl.accounts.roles import Role
from tests.browser.house import PASSWORD, keep_records, live_through
from tests.fakes.waiting import LIMIT_S
from tests.slices import WHOLE
from tests.web.addresses import addresses
from tests.web.branch import Branch, asking_for_figures, row, rows

if TYPE_CHECKING:
    # Each of pytest's processes collects this file, and one of them asks: two seconds each.
    import schemathesis

FILE: Final = Path(doorctl.__file__).parent / "web" / "openapi.yaml"


def described() -> Iterator[str]:
    """Yield method and path of all that the description names."""
    path = ""
    for line in FILE.read_text("utf-8").splitlines():
        if found := re.match(r"  (/.*):$|    (get|post|put):$", line):
            path = found[1] or path
            if found[2]:
                yield f"{found[2].upper()} {path}"


ENDLESS: Final = frozenset({"GET /panel/events", "GET /log/events"})
"""Streams; other tests listen to them."""

MACHINES: Final = frozenset(
    {
        "PUT /v1/patrons",
        "POST /v1/patrons/changes",
        "GET /v1/patrons/epoch",
        "POST /v1/patrons/exchange",
        "POST /v1/patrons/rehearsal",
    }
)

QUESTIONS: Final = 5 if WHOLE else 1
"""For each operation and way of asking."""

ASKS: Final = MappingProxyType({"/people": Role.DPO, "/me": Role.VIEWER, "/sign-out": Role.VIEWER})
"""Who asks for what; everything else the manager, and what ends a session ends the viewer's."""


@pytest.fixture(scope="module")
def operations() -> Iterator[dict[str, Any]]:
    """What schemathesis finds in the description, by its method and path.

    It has Hypothesis print no value of a failed example, and draw longer ones; other tests' are as
    they were afterwards.
    """
    with pytest.MonkeyPatch.context() as kept:
        for module in (core, engine, collections):
            kept.setattr(module, "BUFFER_SIZE", engine.BUFFER_SIZE)
        kept.setattr(core, "RepresentationPrinter", RepresentationPrinter)
        schema = import_module("schemathesis").openapi.from_path(FILE)
        every = [one.ok() for one in schema.get_all_operations()]
        yield {one.label: one for one in every}


@pytest.fixture(scope="module")
def branch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Branch]:
    """A web process with a bit of everything, whose door does not run."""
    directory = tmp_path_factory.mktemp("openapi")
    branch = Branch(directory, asking_for_figures(directory))
    live_through(branch.config, 2, [row(1).row_key])
    keep_records(branch.config, row(1).row_key)
    branch.start()
    assert branch.push(branch.document(rows(5), 1)).status_code == 200
    yield branch
    branch.end()


@pytest.fixture(scope="module")
def sessions(branch: Branch) -> dict[Role, str]:
    """The cookie of each role."""
    return {role: signed_in(branch, role) for role in (Role.MANAGER, Role.DPO, Role.VIEWER)}


def signed_in(branch: Branch, role: Role) -> str:
    """Sign in and return the cookie."""
    answer = branch.ask(
        "POST",
        "/sign-in",
        data={"name": role.value, "password": PASSWORD},
        headers={"Sec-Fetch-Site": "same-origin"},
    )
    assert answer.status_code == httpx2.codes.SEE_OTHER
    return answer.headers["set-cookie"].partition(";")[0]


def test_every_address_is_described(tmp_path: Path, operations: dict[str, Any]) -> None:
    """Each method of each address stands in the description, and nothing else does."""
    built = {
        f"{method} {path}"
        for method, path in addresses(Branch(tmp_path, asking_for_figures(tmp_path)).config)
    }

    assert set(operations) - MACHINES == built
    assert {*described()} == {*operations}


@pytest.mark.sliced
@pytest.mark.parametrize("label", sorted({*described()} - ENDLESS))
def test_whatever_is_asked_is_answered_as_described(
    branch: Branch, sessions: dict[Role, str], operations: dict[str, Any], label: str
) -> None:
    """Right or wrong, a question gets an answer of a described status and type, and never a 500."""
    operation = operations[label]
    checks = import_module("schemathesis.specs.openapi.checks")
    role = next((who for path, who in ASKS.items() if operation.path.startswith(path)), None)
    headers = {
        "Cookie": sessions[role or Role.MANAGER],
        "Sec-Fetch-Site": "same-origin",
        "Accept": "text/html",
    }

    def ask(case: schemathesis.Case[Any]) -> None:
        answer = case.call(
            base_url=f"http://127.0.0.1:{branch.port}",
            headers=headers,
            allow_redirects=False,
            timeout=LIMIT_S,
        )
        assert answer.status_code != httpx2.codes.INTERNAL_SERVER_ERROR, branch.errors()
        conform = [checks.status_code_conformance, checks.content_type_conformance]
        case.validate_response(answer, checks=conform)

    asked(operation.as_strategy(), ask)
    wrong = import_module("schemathesis").GenerationMode.NEGATIVE
    # Of an address without parameters nothing wrong can be asked.
    with suppress(Unsatisfiable):
        asked(operation.as_strategy(generation_mode=wrong), ask)


def asked(cases: SearchStrategy[schemathesis.Case[Any]], ask: Callable[[Any], None]) -> None:
    """Ask :data:`QUESTIONS` questions, the same ones each time."""
    few = settings(
        max_examples=QUESTIONS,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    few(seed(1)(given(cases)(ask)))()
