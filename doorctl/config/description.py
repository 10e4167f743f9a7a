"""How a key of the schema is described, once: unit, why, an example, what a pattern means."""

from __future__ import annotations

from typing import Any

from msgspec import Meta


def key(why: str, example: object = None, allowed: str | None = None, **bounds: Any) -> Meta:
    """Describe one key.

    Args:
        why: its unit, where it has one, then its reason and source; messages don't show it, the
            example file's comments and the documentation do.
        example: what a message suggests where the default is no help.
        allowed: what may stand there in words, where the type can't say it.
        bounds: msgspec's own: ``ge``, ``le``, ``gt``, ``pattern``, ``max_length``.
    """
    examples = None if example is None else [example]
    extra = None if allowed is None else {"allowed": allowed}
    return Meta(description=why, examples=examples, extra=extra, **bounds)
