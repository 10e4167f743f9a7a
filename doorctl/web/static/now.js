"use strict";
/* The page asks for itself every 5 s. When two answers in a row did not come, what is shown is old,
   and it says so: greyed, in a sentence, in the window's title and icon. */

const OLD_MS = 12000;
const LOOK_MS = 1000;

const lost = document.getElementById("lost");
const main = document.getElementById("main");
const told = document.getElementById("told");
const icon = document.querySelector("link[rel=icon]");
const usual = { title: document.title, icon: icon.href };
const unfolded = new Set();
let heard = Date.now();
let said = headline();

function headline() {
  return document.querySelector("#live .headline").textContent;
}

function look() {
  /* A hidden page asks seldom: it is judged once it is seen again and had time to ask. */
  if (document.hidden) heard = Math.max(heard, Date.now() - OLD_MS + 6000);
  const old = Date.now() - heard > OLD_MS;
  if (old !== lost.hidden) return;
  const sentence = lost.dataset.lost.replace("{time}", document.getElementById("live").dataset.at);
  lost.hidden = !old;
  lost.textContent = old ? sentence : "";
  document.title = old ? sentence + " – " + usual.title : usual.title;
  icon.href = old ? lost.dataset.icon : usual.icon;
  main.classList.toggle("is-old", old);
}

new MutationObserver(() => {
  if (!document.getElementById("live")) return;
  heard = Date.now();
  look();
  /* Whoever does not see the sentence hears that it is another. */
  if (headline() !== said) told.textContent = said = headline();
}).observe(main, { childList: true });
/* The page that comes knows nothing of what somebody has unfolded in the one it replaces; it is told
   before it is put in, for what is folded then can't have the focus. */
main.addEventListener("toggle", ({ target }) => {
  unfolded[target.open ? "add" : "delete"](target.id);
  /* A form that is unfolded is made of what is seen now, not of what was when the page came. */
  const made = target.open && target.querySelector(".deed input[name=version]");
  if (made) made.value = document.querySelector("#live .state").dataset.version;
}, true);
document.body.addEventListener("htmx:before:swap", ({ detail }) => {
  for (const { fragment } of detail.tasks)
    for (const id of unfolded) fragment.querySelector("#" + id)?.setAttribute("open", "");
});
setInterval(look, LOOK_MS);
