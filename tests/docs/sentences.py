"""``python -m tests.docs.sentences FILE.html``: every sentence of both languages on one page."""

from __future__ import annotations

from html import escape
from pathlib import Path

import click
import polib

from doorctl.core.language import OWN

HEAD = (
    '<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>Every sentence of doorctl</title>'
    "<style>body{font:16px/1.4 sans-serif;margin:2rem}td{vertical-align:top;padding:.2rem 1rem;"
    "border-bottom:1px solid #ddd;width:50%}</style><h1>Every sentence of doorctl</h1>"
)


def page_of(catalogues: Path = OWN / "da") -> str:
    """Return the page: a table for each catalogue, English beside Danish; plurals one a line."""
    parts = [HEAD]
    for path in sorted(catalogues.glob("*.po")):
        parts.append(f"<h2>{path.stem}</h2><table>")
        for entry in polib.pofile(str(path)):
            english = "\n".join(filter(None, (entry.msgid, entry.msgid_plural)))
            danish = entry.msgstr or "\n".join(entry.msgstr_plural.values())
            parts.append(
                f'<tr><td>{escape(english)}</td><td lang="da">{escape(danish)}</td></tr>'.replace(
                    "\n", "<br>"
                )
            )
        parts.append("</table>")
    return "\n".join(parts)


@click.command()
@click.argument("into", type=click.Path(dir_okay=False, path_type=Path))
def sentences(into: Path) -> None:
    """Write the page, for a reader who knows both languages."""
    into.write_text(page_of(), "utf-8")
    click.echo(f"every sentence is in {into}")


if __name__ == "__main__":
    sentences()
