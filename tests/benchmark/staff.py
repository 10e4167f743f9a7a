"""``python -m tests.benchmark.staff ADDRESS``: 25 open pages that ask again every five seconds.

The cookie is the first line of stdin; the end of stdin ends it.
"""

from __future__ import annotations

import sys
import threading
from typing import Final

import httpx2

PAGES: Final = 25
EVERY_S: Final = 5.0
LIMIT_S: Final = 30.0


def main(address: str) -> int:
    """Poll until stdin ends; return how many answers were no page."""
    headers = {"Cookie": sys.stdin.readline().strip(), "Accept": "text/html"}
    ended, failed = threading.Event(), []

    def page(number: int) -> None:
        ended.wait(number * EVERY_S / PAGES)
        with httpx2.Client(headers=headers, timeout=LIMIT_S) as browser:
            while not ended.is_set():
                status = browser.get(address).status_code
                if status != httpx2.codes.OK:
                    failed.append(status)
                ended.wait(EVERY_S)

    threads = [threading.Thread(target=page, args=(number,)) for number in range(PAGES)]
    for thread in threads:
        thread.start()
    sys.stdout.write("polling\n")
    sys.stdout.flush()
    sys.stdin.read()
    ended.set()
    for thread in threads:
        thread.join()
    return len(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
