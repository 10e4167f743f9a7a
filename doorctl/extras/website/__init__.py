"""The hours on the library's website, which runs DPL CMS; for ``hours.source = "website"``."""

from __future__ import annotations

from doorctl.core.alarms import over, today
from doorctl.extras.extra import Extra, JobParts


def jobs(parts: JobParts) -> None:
    """Have the website's hours kept in ``branch.db``, on a thread of its own."""
    from doorctl.extras.website.job import WebsiteJob
    from doorctl.extras.website.website import Website
    from doorctl.ops.threads import regular
    from doorctl.store.branch import BranchRecords
    from doorctl.web.jobs import PAUSE_S

    config, log = parts.config, parts.log
    # Belongs to the job's thread, which opens it.
    book = BranchRecords(config.storage.branch_db)
    fetch = Website(config.opening.website_url).opening_hours
    job = WebsiteJob(config.opening, config.branch.isil, fetch, book, parts.write, parts.clock, log)
    parts.stack.enter_context(regular("hours", job.turn, PAUSE_S, log).going(book.close))


ALARMS = {
    "website_silent": today(
        "The website's hours can't be fetched; the last ones count.",
        "See whether the website is down before the kept days are used up.",
    ),
    "website_answers": over("website_silent", "The website's hours are fetched again."),
    "website_emptied": today(
        "The website has no opening hours any more; in an hour it is closed here.",
        "Put the hours back, or correct the number in hours.website_branch.",
    ),
    "website_filled": over("website_emptied", "The website has opening hours again."),
    "website_unknown_category": today(
        "The website has a kind of hours that the door does not know.",
        "Check today's hours; on the website, call it as the others are called.",
    ),
    "website_unknown_category_cleared": over(
        "website_unknown_category", "The website has only kinds of hours that the door knows."
    ),
}

EXTRA = Extra(alarms=ALARMS, jobs=jobs)
