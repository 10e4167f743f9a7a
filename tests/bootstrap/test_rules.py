from __future__ import annotations

from pathlib import Path

from doorctl.bootstrap.rules import ask_s, web_answers_s
from tests.bootstrap.branches import initialised


def test_the_door_gives_up_on_web_before_it_gives_up_on_the_attempt(tmp_path: Path) -> None:
    """So that a web process that hangs is heard as silent, and no right PIN is charged for it."""
    config = initialised(
        tmp_path, "lms.kind=sip2", "lms.url=sip2://127.0.0.1:6001", "lms.agency=773000"
    )
    limit_s = ask_s(config)

    assert limit_s is not None
    assert config.lms.timeout_s < web_answers_s(config) < limit_s
