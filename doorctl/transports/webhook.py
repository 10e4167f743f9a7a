"""Alarms by webhook: one signed JSON document a notice, for a duty phone or a ticket system."""

from __future__ import annotations

import hmac
import ssl
from typing import Any

import httpx2
import msgspec

from doorctl.masked import Masked
from doorctl.ports import Notice, NotSentError
from doorctl.transports.unsent import unsent

SILENCE_S = 10.0
"""Longest wait for the connection and for the answer."""

FORMAT = "doorctl-alarm/1"
SIGNATURE = "X-Doorctl-Signature"


class WebhookSink:
    """Post each notice to one address; implements `AlarmSink`.

    The header ``X-Doorctl-Signature`` is ``sha256=`` and the hex HMAC-SHA256 of the body's bytes.
    Any 2xx means taken. No redirect is followed and no proxy of the environment used; the answer's
    body is not read.

    Args:
        url: where to.
        secret: for the signature; the receiver has it too.
        context: for TLS; checks the certificate and the name in it.
        silence_s: see :data:`SILENCE_S`.
    """

    def __init__(
        self,
        url: str,
        secret: Masked[str],
        context: ssl.SSLContext,
        *,
        silence_s: float = SILENCE_S,
    ) -> None:
        self._url = url
        self._secret = secret
        self._client = httpx2.Client(
            verify=context, trust_env=False, timeout=silence_s, follow_redirects=False
        )

    def send(self, notice: Notice) -> None:
        """Post it; the same notice has the same ``id`` each time."""
        body = msgspec.json.encode(document(notice))
        headers = {
            "Content-Type": "application/json",
            SIGNATURE: f"sha256={signature(self._secret, body)}",
        }
        request = self._client.build_request("POST", self._url, content=body, headers=headers)
        try:
            response = self._client.send(request, stream=True)
            response.close()
        except httpx2.TimeoutException:
            raise NotSentError("the webhook does not answer in time") from None
        except httpx2.TransportError as err:
            raise NotSentError(f"the webhook: {unsent(err, 'alarms.webhook')}") from None
        if not response.is_success:
            raise NotSentError(f"the webhook answers with HTTP status {response.status_code}")

    def close(self) -> None:
        """Close its connections; idempotent."""
        self._client.close()


def document(notice: Notice) -> dict[str, Any]:
    """Return what is posted."""
    return {
        "format": FORMAT,
        "id": notice.id,
        "branch": notice.branch,
        "kind": notice.kind,
        "urgency": notice.urgency.value,
        "at": notice.at.isoformat(),
        "clock": notice.clock.value,
        "times": notice.times,
        "clears": notice.clears,
        "why": notice.why,
        "means": {"da": notice.means.da, "en": notice.means.en},
        "do": {"da": notice.act.da, "en": notice.act.en},
    }


def signature(secret: Masked[str], body: bytes) -> str:
    """Return the hex HMAC-SHA256 of a body."""
    return hmac.new(secret.reveal().encode(), body, "sha256").hexdigest()
