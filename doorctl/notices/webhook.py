"""A signed JSON document for each notice, to a duty phone or a ticket system; dead-man's switch."""

from __future__ import annotations

import hmac
import ssl
from typing import Any

import httpx2
import msgspec

from doorctl.core.asking import Talks, unreached, waits
from doorctl.core.masked import Masked
from doorctl.core.ports import Notice, NotSentError
from doorctl.notices.mail import SILENCE_S, TOTAL_S, translated

FORMAT = "doorctl-alarm/1"


class _Address:
    """One address outside; no redirect is followed and no proxy of the environment used."""

    whom: str

    def __init__(
        self,
        url: str,
        context: ssl.SSLContext,
        *,
        silence_s: float = SILENCE_S,
        total_s: float = TOTAL_S,
    ) -> None:
        self._url, self._context, self._talks = url, context, Talks()
        self._silence_s, self._total_s = silence_s, total_s

    def _ask(self, method: str, **request: Any) -> None:
        """Ask it. Raises NotSentError: it did not answer with a 2xx."""

        async def asking() -> int:
            async with (
                httpx2.AsyncClient(
                    verify=self._context,
                    trust_env=False,
                    timeout=waits(self._total_s, self._silence_s),
                ) as client,
                client.stream(method, self._url, **request) as response,
            ):
                return response.status_code

        try:
            status = self._talks.within(self._total_s, asking)
        except (TimeoutError, ssl.SSLError, httpx2.TransportError) as err:
            why = unreached(err, f"alarms.{self.whom}")
            raise NotSentError(f"the {self.whom}: {why}") from None
        if not httpx2.codes.is_success(status):
            raise NotSentError(f"the {self.whom} answers with HTTP status {status}")


class WebhookSink(_Address):
    """Post each notice to one address; implements `AlarmSink`.

    The header ``X-Doorctl-Signature`` is ``sha256=`` and the hex HMAC-SHA256 of the body's bytes,
    by the `secret` that the receiver has too.
    """

    whom = "webhook"

    def __init__(
        self, url: str, secret: Masked[str], context: ssl.SSLContext, **limits: float
    ) -> None:
        super().__init__(url, context, **limits)
        self._secret = secret

    def send(self, notice: Notice) -> None:
        """Post it; the same notice has the same ``id`` each time."""
        body = msgspec.json.encode(document(notice))
        signed = hmac.new(self._secret.reveal().encode(), body, "sha256").hexdigest()
        headers = {"Content-Type": "application/json", "X-Doorctl-Signature": f"sha256={signed}"}
        self._ask("POST", content=body, headers=headers)


class DeadMansSwitch(_Address):
    """Asks one address, by which its owner knows that the branch is well."""

    whom = "heartbeat"

    def beat(self) -> None:
        """Ask it. Raises NotSentError: it did not answer with a 2xx."""
        self._ask("GET")


def document(notice: Notice) -> dict[str, Any]:
    """Return the JSON document that is posted."""
    return {
        "format": FORMAT,
        "id": notice.id,
        "branch": notice.branch,
        "kind": notice.kind,
        "urgency": notice.known.urgency.value,
        "at": notice.at.isoformat(),
        "clock": notice.clock.value,
        "times": notice.times,
        "clears": notice.known.clears,
        "why": notice.why,
        "means": {"da": translated(notice.known.means, "da"), "en": notice.known.means},
        "do": {"da": translated(notice.known.act, "da"), "en": notice.known.act},
    }
