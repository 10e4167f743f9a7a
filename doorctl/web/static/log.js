"use strict";
/* The page follows the door: a stream says that something was written, then this asks for the page
   again and puts in what differs. Another time is shown without loading the page: by the links, by
   the form, and by dragging across the picture. Without this file all but the dragging works. */

const AGAIN_MS = 5000;
const SILENCE_MS = 25000; /* the server says something every 10 s */
const LEFT = 44, WIDTH = 864; /* of the picture, in its own units */
const SMALL = 8;
const PARTS = ["attempts-heading", "picture", "legend", "hours", "none", "pages"];

const by = (id) => document.getElementById(id);
const main = by("main");
let shown = location.search;
let events, silence, coming, drag, asking, over;

function say(key) {
  const live = by("live");
  if (live && live.textContent !== live.dataset[key]) live.textContent = live.dataset[key];
}

function listen() {
  rest();
  if (document.hidden || over || !by("live")) return;
  events = new EventSource("/log/events?since=" + by("live").dataset.since);
  hear();
  events.addEventListener("open", () => {
    hear();
    say("live");
  });
  events.addEventListener("news", () => {
    hear();
    follow();
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
  say("lost");
  if (events.readyState === EventSource.CONNECTING) return;
  rest();
  coming = setTimeout(() => follow().then(listen), AGAIN_MS);
}

/* Asked for by itself, the page keeps no session alive. */
async function ask(address, headers = {}) {
  const answer = await fetch(address, { headers, redirect: "error" }).catch(() => null);
  over = Boolean(answer) && (answer.status === 401 || answer.status === 403);
  if (over) say("over");
  if (!answer || !answer.ok) return null;
  return new DOMParser().parseFromString(await answer.text(), "text/html");
}

async function follow() {
  if (drag || asking) {
    /* Once for all that comes meanwhile. */
    clearTimeout(coming);
    coming = setTimeout(follow, 300);
    return;
  }
  const live = by("live");
  asking = true;
  const page = await ask(live.dataset.address, { "HX-Request": "true" });
  asking = false;
  if (!live.isConnected) return; /* Another time is shown meanwhile. */
  if (!page) {
    rest();
    coming = setTimeout(listen, AGAIN_MS);
    return;
  }
  const follows = page.getElementById("live");
  if (follows) live.dataset.since = follows.dataset.since;
  else rest();
  for (const id of PARTS) {
    const old = by(id), fresh = page.getElementById(id);
    if (fresh && id === "hours") fresh.open = old.open;
    if (fresh && !old.isEqualNode(fresh)) old.replaceWith(fresh);
  }
  merge(by("rows"), page.getElementById("rows"));
}

/* Rows that say the same stay, with whatever is open, marked or focused in them. */
function merge(rows, fresh) {
  const wanted = new Map([...fresh.rows].map((row) => [row.id, row]));
  const at = document.activeElement.closest("#rows [id]");
  for (const old of [...rows.rows]) {
    const row = wanted.get(old.id);
    if (row && row.textContent === old.textContent) continue;
    if (row && old.querySelector("details[open]")) row.querySelector("details").open = true;
    old.remove();
  }
  let next = rows.firstElementChild;
  for (const row of wanted.values()) {
    if (next && next.id === row.id) next = next.nextElementSibling;
    else {
      row.classList.add("log-new");
      rows.insertBefore(row, next);
    }
  }
  if (at && !at.isConnected && by(at.id)) by(at.id).querySelector("a, summary").focus();
}

async function show(address, pushed = true) {
  const page = await ask(address);
  if (!page || !page.getElementById("rows")) return location.assign(address);
  if (pushed) history.pushState(null, "", address);
  shown = location.search;
  main.replaceChildren(...page.getElementById("main").childNodes);
  document.querySelector("input[name=next]").value = location.pathname + location.search;
  const heading = by("attempts-heading");
  heading.focus({ preventScroll: true });
  if (heading.getBoundingClientRect().top < 0) heading.scrollIntoView();
  listen();
}

/* An attempt that is clicked stands beside the log where there is room, else on its own page. */
async function place(link) {
  const page = await ask(link.href);
  if (!page) return location.assign(link.href);
  by("beside").replaceChildren(page.getElementById("attempt"));
  by("beside").querySelector("h1").focus();
}

main.addEventListener("click", (event) => {
  const link = event.target.closest("a");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  const shows = link.getAttribute("href").startsWith("/log?");
  if (!shows && !(link.closest("#rows") && matchMedia("(min-width: 64em)").matches)) return;
  event.preventDefault();
  if (shows) show(link.href);
  else place(link);
});

main.addEventListener("submit", (event) => {
  if (!event.target.matches(".log-filter")) return;
  event.preventDefault();
  const filled = [...new FormData(event.target)].filter(([, value]) => value);
  show("/log?" + new URLSearchParams(filled));
});

/* Dragging across the picture chooses from the quarter or hour where it began to that where it
   ended. A picture is of UTC, an address of the branch's time of day. */
function spot(event) {
  const drawn = by("picture").getScreenCTM();
  return Math.min(Math.max((event.clientX - drawn.e) / drawn.a, LEFT), LEFT + WIDTH);
}

function stretch(event) {
  if (!drag) return;
  drag.to = spot(event);
  drag.mark.setAttribute("x", Math.min(drag.from, drag.to));
  drag.mark.setAttribute("width", Math.abs(drag.to - drag.from));
}

function chosen(from, to) {
  const { since, until, step, zone } = by("picture").dataset;
  const at = (x) => Number(since) + ((x - LEFT) / WIDTH) * (until - since);
  const begins = Math.max(Math.floor(at(from) / step) * step, since);
  const ends = Math.min(Math.ceil(at(to) / step) * step, until);
  const style = { timeZone: zone, dateStyle: "short", timeStyle: "short" };
  const local = (ms) => new Intl.DateTimeFormat("sv-SE", style).format(ms).split(" ");
  const [[day, starts], [, stops], [last]] = [begins, ends, ends - 1].map(local);
  const kept = new URLSearchParams(location.search);
  for (const name of ["span", "before"]) kept.delete(name);
  const times = { day, from: starts, ends: last === day ? "" : last, to: stops };
  for (const [name, value] of Object.entries(times)) kept.set(name, value);
  return "/log?" + kept;
}

function drop(event) {
  if (!drag) return;
  const [from, to] = [drag.from, drag.to].sort((one, other) => one - other);
  drag.mark.remove();
  drag = null;
  if (event.type === "pointerup" && to - from >= SMALL) show(chosen(from, to));
}

main.addEventListener("pointerdown", (event) => {
  const picture = event.target.closest("#picture");
  if (!picture || event.button || drag) return;
  event.preventDefault();
  picture.setPointerCapture(event.pointerId);
  const mark = document.createElementNS("http://www.w3.org/2000/svg", "rect");
  for (const [name, value] of Object.entries({ class: "log-chosen", y: 8, height: 250 })) {
    mark.setAttribute(name, value);
  }
  picture.append(mark);
  drag = { mark, from: spot(event), to: spot(event) };
});
main.addEventListener("pointermove", stretch);
main.addEventListener("pointerup", drop);
main.addEventListener("pointercancel", drop);
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") drop(event);
});

addEventListener("popstate", () => {
  if (location.search !== shown) show(location.href, false);
});
document.addEventListener("visibilitychange", listen);
listen();
