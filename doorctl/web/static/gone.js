"use strict";
/* Once the session is over, what it showed leaves the screen. It is asked for as htmx asks, which
   keeps no session alive. */

async function leaveOnceOver() {
  const asked = { method: "HEAD", headers: { "HX-Request": "true" } };
  const answer = await fetch("/me", asked).catch(() => null);
  if (answer && answer.status === 401) location.replace("/sign-in");
}

setInterval(leaveOnceOver, 60000);
