// The virtual door: forms without a new page, and what the server tells put in its place.
(() => {
  "use strict";
  const door = document.getElementById("door");
  const notice = document.getElementById("notice");
  const card = document.getElementById("card");
  const buzzer = door.querySelector(".demo-buzzer");
  const typed = document.getElementById("typed");
  const BEEP_MS = 350; // a click of 50 ms would not be seen
  let beeps = null;

  function put(name, html) {
    const place = document.getElementById(`part-${name}`);
    const held = place.contains(document.activeElement) ? document.activeElement.id : "";
    place.innerHTML = html;
    if (held) document.getElementById(held)?.focus({ preventScroll: true });
  }

  function light(state) {
    door.dataset.state = state.lit.join(" ");
    door.dataset.plugs = state.plugs.join(" ");
    if (beeps !== null && state.beeps > beeps) {
      buzzer.classList.add("sounds");
      setTimeout(() => buzzer.classList.remove("sounds"), BEEP_MS);
    }
    beeps = state.beeps;
  }

  function show() {
    const front = door.querySelector(".demo-front");
    const { top, bottom } = front.getBoundingClientRect();
    if (top < 0 || bottom > window.innerHeight) front.scrollIntoView({ block: "nearest" });
  }

  function slide(kind) {
    card.className = `demo-card ${kind}`;
    void card.offsetWidth; // begins the movement anew
    card.classList.add("slides");
  }

  async function send(form, body) {
    notice.textContent = "";
    try {
      const answer = await fetch(form.action, { method: "POST", body, headers: { Accept: "text/plain" } });
      if (!answer.ok) notice.textContent = answer.status === 409 ? await answer.text() : answer.statusText;
    } catch {
      notice.textContent = notice.dataset.lost;
    }
  }

  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (!form.classList.contains("deed")) return;
    event.preventDefault();
    const body = new URLSearchParams(new FormData(form, event.submitter));
    if (!form.closest("#part-story")) show();
    if (form.classList.contains("swipes")) slide(form.dataset.kind);
    send(form, body);
  });

  document.addEventListener("keydown", (event) => {
    if (!typed.checked || event.ctrlKey || event.altKey || event.metaKey || event.repeat) return;
    const key = door.querySelector(`.demo-keys button[value="${CSS.escape(event.key)}"]`);
    if (!key) return;
    key.classList.add("pressed");
    setTimeout(() => key.classList.remove("pressed"), 150);
    send(key.form, new URLSearchParams({ key: key.value }));
  });

  const events = new EventSource("/events");
  events.addEventListener("sight", (event) => {
    const { state, ...parts } = JSON.parse(event.data);
    if (state) light(state);
    for (const [name, html] of Object.entries(parts)) put(name, html);
  });
  events.addEventListener("open", () => { if (notice.textContent === notice.dataset.lost) notice.textContent = ""; });
  events.addEventListener("error", () => { notice.textContent = notice.dataset.lost; });

  document.getElementById("typing").hidden = false;
})();
