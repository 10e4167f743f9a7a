"use strict";
/* Choosing many dates: shift and a click takes all between, dragging the mouse over dates too. Without
   this file each date has its own box. */

const month = document.getElementById("month");
const chosen = document.getElementById("chosen");
const boxes = [...month.querySelectorAll("input[name=date]")];
const own = document.getElementById("open-hours");
let last = null;
let drawing = null;

function tell() {
  const n = boxes.filter((box) => box.checked).length;
  if (n) chosen.textContent = n === 1 ? chosen.dataset.one : chosen.dataset.many.replace("{n}", n);
  for (const box of boxes) box.closest("td").classList.toggle("told", box.checked);
}

function set(one, other, checked) {
  const [from, to] = [boxes.indexOf(one), boxes.indexOf(other)].sort((a, b) => a - b);
  for (const box of boxes.slice(from, to + 1)) box.checked = checked;
  tell();
}

month.addEventListener("click", (event) => {
  if (!boxes.includes(event.target)) return;
  set(event.shiftKey && last ? last : event.target, event.target, event.target.checked);
  last = event.target;
});

/* A label's own click comes after the drag and would turn its date over again. */
month.addEventListener("pointerdown", (event) => {
  const box = event.target.closest("td")?.querySelector("input[name=date]");
  if (!box || event.pointerType !== "mouse" || event.shiftKey || event.target.closest("a")) return;
  drawing = { from: box, checked: !box.checked, moved: false };
});
month.addEventListener("pointerover", (event) => {
  const box = drawing && event.target.closest("td")?.querySelector("input[name=date]");
  if (!box || (box === drawing.from && !drawing.moved)) return;
  drawing.moved = true;
  getSelection().removeAllRanges();
  set(drawing.from, box, drawing.checked);
  last = box;
});
addEventListener("pointerup", () => {
  const moved = drawing?.moved;
  drawing = null;
  if (!moved) return;
  const stop = (event) => event.preventDefault();
  addEventListener("click", stop, true);
  setTimeout(() => removeEventListener("click", stop, true));
});

/* Whoever types hours means them. */
for (const name of ["self", "staffed"]) {
  document.getElementById(name).addEventListener("input", () => { own.checked = true; });
}
