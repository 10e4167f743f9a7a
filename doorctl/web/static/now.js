"use strict";
/* The page asks for itself every 5 s. When two answers in a row did not come, what is shown is old,
   and it says so: greyed, in a sentence, in the window's title. */

const OLD_MS = 12000;
const LOOK_MS = 1000;

const lost = document.getElementById("lost");
const title = document.title;
let heard = Date.now();

function clock(at) {
  const told = { hour: "2-digit", minute: "2-digit" };
  return new Date(at).toLocaleTimeString(document.documentElement.lang, told);
}

function look() {
  /* A hidden page asks seldom: it is judged once it is seen again and had time to ask. */
  if (document.hidden) heard = Math.max(heard, Date.now() - OLD_MS + 6000);
  const old = Date.now() - heard > OLD_MS;
  if (old === lost.hidden) {
    const told = lost.dataset.lost.replace("{time}", clock(heard));
    lost.hidden = !old;
    lost.textContent = old ? told : "";
    document.title = old ? told + " – " + title : title;
  }
  document.getElementById("live").classList.toggle("is-old", old);
}

new MutationObserver(() => {
  if (document.getElementById("live")) heard = Date.now();
  look();
}).observe(document.getElementById("live").parentNode, { childList: true });
setInterval(look, LOOK_MS);
