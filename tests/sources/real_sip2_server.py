"""A SIP2 server that somebody else wrote (pysip2), run as a process: ``python FILE``.

It prints its port and serves until its input ends. What it says of each card stands in `SAID`.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

import anyio
from anyio.abc import SocketAttribute

INSTITUTION = "DK-773000"
USER, PASSWORD, PIN = "doorctl-oest", "a-password-of-a-branch", "4711"

GOOD, EXPIRED, BLOCKED, UNSAID = "3000001234", "3000001235", "3000001236", "3000001237"
BARRED, DEBTOR = "3000001238", "3000001239"
SAID: dict[str, dict[str, Any]] = {
    GOOD: {},
    EXPIRED: {"valid_patron": "N"},
    BLOCKED: {"patron_status": "    Y     Y   "},
    UNSAID: {"valid_patron_password": None},
    BARRED: {"patron_status": "YYYY          ", "screen_message": ("User BARRED",)},
    DEBTOR: {"patron_status": "YYYY      Y   "},
}


def answered(pysip2: Any, request: Any, context: Any) -> Any:
    """Answer about a card of the table; decline all others in the server's own words."""
    if request.patron_identifier not in SAID:
        return context.decline("Ukendt låner")
    fields: dict[str, Any] = {
        "patron_status": " " * 14,
        "language": request.language,
        "transaction_date": context.now_18(),
        "hold_items_count": "0000",
        "overdue_items_count": "0000",
        "charged_items_count": "0000",
        "fine_items_count": "0000",
        "recall_items_count": "0000",
        "unavailable_holds_count": "0000",
        "institution_id": request.institution_id,
        "patron_identifier": request.patron_identifier,
        "personal_name": "Navnesen, Søren Åge",
        "home_address": "Ørnevej 1, 8900 Randers",
        "valid_patron": "Y",
        "valid_patron_password": "Y" if request.patron_password == PIN else "N",
        "screen_message": ("Velkommen på biblioteket", "Gebyr: 20 kr."),
    }
    return pysip2.PatronInformationResponse(**{**fields, **SAID[request.patron_identifier]})


async def serve(pysip2: Any) -> None:
    """Serve on a port of this machine; a login is wanted, and each message's checksum."""
    app = pysip2.SIP2Server(
        institution_id=INSTITUTION, error_detection="required", login_required=True
    )

    def log_in(request: Any, _context: Any) -> Any:
        """Accept the one account."""
        right = (request.login_user_id, request.login_password) == (USER, PASSWORD)
        return pysip2.LoginResponse(ok="1" if right else "0")

    app.route(pysip2.LOGIN)(log_in)
    app.route(pysip2.PATRON_INFORMATION)(lambda asked, context: answered(pysip2, asked, context))
    listener = await app.listen(port=0)
    port = listener.extra(SocketAttribute.local_port)  # noqa: S610 - this is no Django
    print(port, flush=True)  # noqa: T201 - how it tells its port
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, app._handle_connection)  # noqa: SLF001 - it has no other door
        await anyio.to_thread.run_sync(sys.stdin.read)
        tasks.cancel_scope.cancel()


if __name__ == "__main__":
    anyio.run(serve, importlib.import_module("pysip2"))
