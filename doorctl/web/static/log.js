"use strict";
/* New attempts are put in as they come, rendered by the server; one that has ended takes its own
   row's place. Without this file the page is the same, and a link loads it again. */

const AGAIN_MS = 10000;
const SILENCE_MS = 25000; /* the server says something every 10 s */
const MOST_ROWS = 600;

const live = document.getElementById("live");
const rows = document.getElementById("rows");
const none = document.getElementById("none");
const beside = document.getElementById("beside");
const address = live && new URL(live.dataset.events, location.href);
let since = live && live.dataset.since;
let events, silence, coming;

function say(text) {
  if (live.textContent !== text) live.textContent = text;
}

function listen() {
  rest();
  if (document.hidden) return;
  address.searchParams.set("since", since);
  events = new EventSource(address);
  hear();
  events.addEventListener("open", () => {
    hear();
    say(live.dataset.live);
  });
  events.addEventListener("attempt", (event) => {
    hear();
    since = event.lastEventId;
    put(event.data);
  });
  events.addEventListener("error", lost);
}

/* A browser opens six connections to a host: six logs behind other tabs would leave it none. What
   comes meanwhile is caught up on, by `since`. */
function rest() {
  if (events) events.close();
  clearTimeout(silence);
  clearTimeout(coming);
}

function hear() {
  clearTimeout(silence);
  silence = setTimeout(lost, SILENCE_MS);
}

/* A browser comes again by itself after a break, but not after a refusal: then this does, unless
   whoever looks is signed out. */
function lost() {
  say(live.dataset.lost);
  if (events.readyState === EventSource.CONNECTING) return;
  rest();
  coming = setTimeout(again, AGAIN_MS);
}

async function again() {
  const asked = { method: "HEAD", headers: { Accept: "text/event-stream" }, redirect: "manual" };
  const answer = await fetch("/log", asked).catch(() => null);
  if (answer && (answer.status === 401 || answer.status === 403)) say(live.dataset.over);
  else listen();
listen();
}

function put(html) {
  const made = document.createElement("template");
  made.innerHTML = html;
  const row = made.content.querySelector("tr");
  const old = document.getElementById(row.id);
  row.classList.add("log-new");
  none.hidden = true;
  if (old && old.tagName === "LI") return; /* It is folded into its hour. */
  if (old) old.replaceWith(row);
  else rows.insertBefore(row, below(Number(row.dataset.attempt)));
  while (rows.children.length > MOST_ROWS) rows.lastElementChild.remove();
}

function below(attempt) {
  const older = (one) => Number(one.dataset.attempt) < attempt;
  return [...rows.children].find(older) || rows.querySelector("tr:not(.log-date)");
}

/* An attempt that is clicked stands beside the log where there is room, else on its own page. */
rows.addEventListener("click", async (event) => {
  const link = event.target.closest("a");
  if (!link || event.ctrlKey || event.metaKey || !matchMedia("(min-width: 64em)").matches) return;
  event.preventDefault();
  const answer = await fetch(link.href, { redirect: "error" }).catch(() => null);
  if (!answer || !answer.ok) return location.assign(link.href);
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  beside.replaceChildren(page.getElementById("attempt"));
  beside.querySelector("h1").focus();
});

if (live) {
  document.addEventListener("visibilitychange", listen);
  listen();
}
