from __future__ import annotations

import pytest

from doorctl.access.patron import BEFORE_PROOF, SENTENCES, UNJUDGED, Reason

FIXED_NAMES = [
    "ok", "unknown_card", "wrong_pin", "pin_unknown", "pin_timeout", "throttled", "not_resident",
    "blocked", "under_age", "expired", "banned", "closed", "not_permitted", "restricted",
    "cache_too_old", "clock_untrusted", "weak_pin", "card_unreadable", "fault",
]  # fmt: skip


def test_names_are_the_fixed_ones() -> None:
    """Scripts and staff notes rely on the names: none is renamed, dropped or added unnoticed."""
    assert [reason.value for reason in Reason] == FIXED_NAMES


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_a_sentence_in_two_languages(reason: Reason) -> None:
    """Each reason can be told in Danish and in English, as a whole sentence."""
    danish, english = SENTENCES[reason]

    assert danish != english
    assert all(sentence[0].isupper() and sentence[-1] == "." for sentence in (danish, english))


def test_no_two_reasons_share_a_sentence() -> None:
    """Staff can tell every reason from every other by its sentence."""
    for language in (0, 1):
        assert len({sentences[language] for sentences in SENTENCES.values()}) == len(Reason)


@pytest.mark.parametrize("reason", Reason)
def test_only_ok_is_granted(reason: Reason) -> None:
    """Whatever is not ``ok`` is a refusal."""
    assert reason.verdict == ("granted" if reason.value == "ok" else "refused")


def test_groups_do_not_overlap() -> None:
    """A guess was either spent or not, and `ok` is neither a refusal nor unjudged."""
    assert not BEFORE_PROOF & UNJUDGED
    assert Reason.OK not in BEFORE_PROOF | UNJUDGED


def test_what_is_told_after_the_proof_is_in_no_group() -> None:
    """All that speaks of a person's rights presupposes the PIN, so it is in neither group."""
    after_proof = {
        Reason.OK,
        Reason.NOT_RESIDENT,
        Reason.BLOCKED,
        Reason.UNDER_AGE,
        Reason.EXPIRED,
        Reason.BANNED,
        Reason.CLOSED,
        Reason.NOT_PERMITTED,
        Reason.RESTRICTED,
        Reason.CACHE_TOO_OLD,
        Reason.CLOCK_UNTRUSTED,
        Reason.WEAK_PIN,
    }

    assert after_proof == set(Reason) - BEFORE_PROOF - UNJUDGED
