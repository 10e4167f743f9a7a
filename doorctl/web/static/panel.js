"use strict";
/* The screen at the door: what the server renders is put in, a key is sent, a text is spoken.
   Nothing that is typed is kept here: a digit goes out and only its number of dots comes back. */

const SILENCE_MS = 20000; /* the server says something every 15 s */
const AGAIN_MS = 3000;
const LOST_AFTER_MS = 4000;
const MOST_KEYS = 12;

const body = document.body;
const screenOf = document.getElementById("screen");
const speak = document.getElementById("speak");
const begun = body.dataset.attempt;
let events, silence, again, idle;
let loss = 0;

function show(told) {
  clearTimeout(loss);
  loss = 0;
  body.dataset.kind = told.kind;
  body.dataset.keys = told.keys;
  body.dataset.companions = told.companions;
  body.dataset.attempt = told.attempt;
  body.dataset.rest = told.rest;
  body.dataset.help = told.help;
  screenOf.innerHTML = told.html;
  /* A language that is chosen now holds until the attempt after this one. */
  for (const choice of document.querySelectorAll("nav a")) {
    const address = new URL(choice.href);
    address.searchParams.set("since", told.attempt);
    choice.href = address;
  }
  say();
  restart();
}

function lose() {
  body.dataset.kind = "lost";
  body.dataset.keys = "none";
  body.dataset.help = false;
  screenOf.innerHTML = document.getElementById("lost").innerHTML;
}

function listen() {
  clearTimeout(again);
  if (events) events.close();
  events = new EventSource(body.dataset.events);
  hear();
  events.addEventListener("screen", (event) => {
    hear();
    show(JSON.parse(event.data));
  });
  events.addEventListener("beat", hear);
  events.addEventListener("error", lost);
}

function hear() {
  clearTimeout(silence);
  silence = setTimeout(lost, SILENCE_MS);
}

function lost() {
  events.close();
  clearTimeout(silence);
  clearTimeout(again);
  /* A server that starts anew is back within a moment: nobody has to be told. */
  if (!loss) loss = setTimeout(lose, LOST_AFTER_MS);
  again = setTimeout(listen, AGAIN_MS);
}

/* After a patron is done, or nobody was there for a while, the branch's own language is back. */
function restart() {
  clearTimeout(idle);
  const changed = body.dataset.chosen === "true" || spoken();
  if (body.dataset.rest !== "true" || !changed) return;
  if (body.dataset.attempt !== begun) return home();
  idle = setTimeout(home, Number(body.dataset.idleS) * 1000);
}

function home() {
  sessionStorage.removeItem("speak");
  location.replace("/panel");
}

/* One key after the other, or they would overtake each other. */
let sending = Promise.resolve();
let waiting = 0;

function press(event) {
  const key = event.submitter && event.submitter.value;
  event.preventDefault();
  if (!key || waiting >= MOST_KEYS) return;
  const sent = new URLSearchParams({ key, attempt: body.dataset.attempt });
  waiting += 1;
  sending = sending
    .then(() =>
      fetch("/panel/key", {
        method: "POST",
        body: sent,
        headers: { Accept: "application/json" },
        cache: "no-store",
      })
    )
    .catch(() => {})
    .finally(() => {
      waiting -= 1;
    });
}

function spoken() {
  return sessionStorage.getItem("speak") === "1";
}

let last = "";

function say() {
  const text = screenOf.querySelector(".said").dataset.spoken;
  if (!speak || !spoken() || text === last) return;
  last = text;
  const voice = new SpeechSynthesisUtterance(text);
  voice.lang = document.documentElement.lang;
  speechSynthesis.cancel();
  speechSynthesis.speak(voice);
}

function offerToSpeak() {
  if (!speak || !window.speechSynthesis) return;
  speak.hidden = false;
  speak.setAttribute("aria-pressed", spoken());
  speak.addEventListener("click", () => {
    const on = !spoken();
    if (on) sessionStorage.setItem("speak", "1");
    else sessionStorage.removeItem("speak");
    speak.setAttribute("aria-pressed", on);
    last = "";
    speechSynthesis.cancel();
    say();
    restart();
  });
}

document.addEventListener("submit", press);
document.addEventListener("contextmenu", (event) => event.preventDefault());
offerToSpeak();
restart();
listen();
