"""Why a message did not go, without a word of what was sent or of what came back."""

from __future__ import annotations

import ssl


def unsent(error: BaseException, table: str) -> str:
    """Return why a connection was not made or broke off.

    Args:
        error: what the library raised.
        table: of the configuration, for what to do.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            why = cause.verify_message
            return f"its certificate is not accepted: {why}; see {table}.ca_file"
        if isinstance(cause, ssl.SSLError):
            return f"TLS with it fails ({cause.reason or 'no reason given'})"
        if isinstance(cause, TimeoutError):
            return "it does not answer in time"
        if isinstance(cause, OSError) and cause.strerror:
            return f"no connection ({cause.strerror})"
        cause = cause.__cause__ or cause.__context__
    return f"no connection ({type(error).__name__})"
