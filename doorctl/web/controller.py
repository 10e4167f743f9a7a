"""Who answers for the data, and by which law: what the letters and the handbook say of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape
from types import MappingProxyType

from doorctl.config import Config
from doorctl.core.language import DANISH, ENGLISH
from doorctl.web.words import Words


def basis(words: Words, config: Config) -> str:
    """Return the legal basis, such as "article 6(1)(c) and (e)"."""
    letters = [words.say("({letter})", letter=letter) for letter in config.controller.basis]
    return words.say("article 6(1){letters}", letters=words.say(" and ").join(letters))


def contact(config: Config) -> str:
    """Return the controller's mail address and telephone number; "" where there is none."""
    return ", ".join(filter(None, (config.controller.mail, config.controller.phone)))


def processors(words: Words, config: Config) -> str:
    """Return who handles the data for the controller, in words; "" while no controller is set."""
    if not config.controller.name:
        return ""
    firms = ", ".join(config.controller.processors)
    return words.say("Processors: {firms}.", firms=firms or words.say("none"))


GAPS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        DANISH: MappingProxyType(
            {
                "name": "[Kommunen]",
                "controller": "[kommune, CVR-nummer, adresse, mail, telefon]",
                "contact": "[mail og telefon]",
                "dpo": "[databeskyttelsesrådgiver]",
                "processors": "[databehandlere]",
                "basis": "[artikel 6, stk. 1, litra c og e]",
                "days": "[30]",
            }
        ),
        ENGLISH: MappingProxyType(
            {
                "name": "[The municipality]",
                "controller": "[municipality, CVR number, address, mail, telephone]",
                "contact": "[mail and telephone]",
                "dpo": "[data-protection officer]",
                "processors": "[processors]",
                "basis": "[article 6(1)(c) and (e)]",
                "days": "[30]",
            }
        ),
    }
)
"""By language, the gaps in the handbook's texts that the configuration fills."""


def filled(text: str, words: Words, config: Config) -> str:
    """Fill the gaps of a page of the handbook, which is HTML; one of which nothing is set stays."""
    gaps = GAPS[DANISH if words.language.code == DANISH else ENGLISH]
    said = {gaps[name]: escape(at) for name, at in _fillings(words, config).items() if at}
    # At once: what fills one may look like another.
    return re.sub("|".join(map(re.escape, said)), lambda gap: said[gap[0]], text)


def _fillings(words: Words, config: Config) -> dict[str, str]:
    own = config.controller
    whole = (own.name, own.address, own.mail, own.phone)
    return {
        # Its CVR number belongs in no sentence.
        "name": own.name.partition(",")[0],
        "controller": "" if own.lacking else ", ".join(whole),
        "contact": contact(config),
        "dpo": config.branch.dpo,
        "processors": processors(words, config).removesuffix("."),
        "basis": basis(words, config),
        "days": str(config.visits.retention_days),
    }
