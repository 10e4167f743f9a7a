"""HTTPS: the files of web.tls, and the certificates that senders show."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any, Final

from starlette.types import ASGIApp, Receive, Scope, Send

from doorctl.config.tables import Tls
from doorctl.core.errors import KeyFileError
from doorctl.web.headers import MACHINES
from doorctl.web.push_answers import UNCERTIFIED

CERTIFIED: Final = "doorctl.certified"
"""A key of the scope: whether the other end has shown a certificate that the authority issued."""


def certified_only(app: ASGIApp) -> ASGIApp:
    """Return the application that serves machine addresses only to senders with a certificate.

    The TLS handshake checks a certificate that is shown, and ends where it is bad.
    """

    async def answered(scope: Scope, receive: Receive, send: Send) -> None:
        refused = scope["path"].startswith(MACHINES) and not scope.get(CERTIFIED, False)
        await (UNCERTIFIED.answer() if refused else app)(scope, receive, send)

    return answered


def shown(app: ASGIApp, *, certified: bool) -> ASGIApp:
    """Return an application whose scope says whether a certificate was shown on a connection."""

    async def answered(scope: Scope, receive: Receive, send: Send) -> None:
        scope[CERTIFIED] = certified
        await app(scope, receive, send)

    return answered


SUITES = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""Of TLS 1.2; those of 1.3 are all as good, and are preferred."""

PLAIN: Final = Tls()
"""No certificate: plain HTTP."""


def authority_of(tls: Tls) -> Path | None:
    """Return whose certificates senders must show; None where they need none."""
    return None if tls.client_ca_file == Path() else tls.client_ca_file


def tls_options(tls: Tls) -> dict[str, Any]:
    """Return uvicorn's options for a certificate; none without one."""
    if not tls.wanted:
        return {}
    authority = authority_of(tls)
    # Browsers show none; a certificate that is shown has to be of this authority.
    return {
        "ssl_certfile": tls.certificate_file,
        "ssl_keyfile": tls.key_file,
        "ssl_ca_certs": authority,
        "ssl_ciphers": SUITES,
        "ssl_cert_reqs": ssl.CERT_OPTIONAL if authority else ssl.CERT_NONE,
    }


def refuse_unusable(tls: Tls) -> None:
    """Load the files of web.tls and keep nothing.

    Raises KeyFileError: one can't be used; says which, as far as it is known.
    """
    if not tls.wanted:
        return
    authority = authority_of(tls)
    for path in filter(None, (tls.certificate_file, tls.key_file, authority)):
        try:
            path.read_bytes()
        except OSError as err:
            raise KeyFileError(f"{path} can't be read: {err.strerror}; see web.tls") from err
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(tls.certificate_file, tls.key_file)
        if authority is not None:
            context.load_verify_locations(authority)
    except ssl.SSLError:
        raise KeyFileError(
            "the files of web.tls are no PEM or don't belong together: certificate_file, key_file "
            "(without a password), client_ca_file"
        ) from None
