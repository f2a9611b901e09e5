// Live parts, relative times and keys. Everything here is an addition: the pages work without it.
"use strict";

const shown = new Map();

function replaceParts(html) {
  const parts = document.createElement("template");
  parts.innerHTML = html;
  for (const part of [...parts.content.children]) {
    const old = document.getElementById(part.id);
    const text = part.outerHTML;
    if (!old || shown.get(part.id) === text) continue;
    // What was rendered with the page is compared as it came, before times became relative.
    const focused = old.contains(document.activeElement) ? document.activeElement.id : "";
    old.replaceWith(part);
    shown.set(part.id, text);
    tellTimes(part);
    if (focused) document.getElementById(focused)?.focus();
  }
}

function trouble(words) {
  const place = document.getElementById("trouble");
  if (!place) return;
  place.textContent = words;
  place.hidden = !words;
}

function watch(address) {
  const events = new EventSource(address);
  events.addEventListener("parts", (event) => {
    trouble("");
    replaceParts(event.data);
  });
  events.addEventListener("trouble", (event) => trouble(event.data));
  events.addEventListener("error", () => {
    const at = new Date().toLocaleTimeString();
    trouble(`The console does not answer since ${at}; what is shown may be old.`);
    // A refused stream is not opened again by the browser: the session may have ended, so look.
    if (events.readyState === EventSource.CLOSED) setTimeout(() => location.reload(), 5000);
  });
}

const units = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];
const words = new Intl.RelativeTimeFormat("en", { numeric: "auto", style: "short" });

function relative(seconds) {
  const [unit, size] = units.find(([, size]) => Math.abs(seconds) >= size) ?? units[3];
  return words.format(Math.trunc(seconds / size), unit);
}

function tellTimes(place) {
  for (const time of place.querySelectorAll("time[datetime]")) {
    const at = new Date(time.dateTime);
    time.textContent = relative((at - Date.now()) / 1000);
    time.title = at.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "long" });
  }
}

let pending = "";
const places = { o: "/", p: "/providers", r: "/runs", h: "/holds", m: "/mappings", l: "/log", w: "/workers" };

function key(event) {
  const typing = event.target.closest("input, textarea, select, [contenteditable]");
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  if (pending === "g" && places[event.key]) {
    location.href = places[event.key];
  } else if (event.key === "/") {
    event.preventDefault();
    document.getElementById("search")?.focus();
  } else if (event.key === "?") {
    document.getElementById("help")?.showModal();
  }
  pending = event.key;
}

// A click on an id copies it.
function copy(event) {
  const id = event.target.closest("code.id");
  if (!id || !navigator.clipboard) return;
  const text = id.textContent;
  navigator.clipboard.writeText(text).then(() => {
    id.classList.add("copied");
    setTimeout(() => id.classList.remove("copied"), 1200);
  });
}

function copyText(event) {
  const button = event.target.closest("button[data-copy]");
  if (!button || !navigator.clipboard) return;
  navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
  button.classList.add("copied");
}

// The editor: what the text gives, while it is typed. The same form works by its buttons.
let evaluation = 0;

async function evaluate(form) {
  const mine = ++evaluation;
  const fields = new URLSearchParams(new FormData(form));
  fields.set("action", "try");
  // By its attribute: `form.action` would be the button of that name.
  const answer = await fetch(form.getAttribute("action"), { method: "POST", body: fields }).catch(() => null);
  if (!answer?.ok || mine !== evaluation) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  document.getElementById("result")?.replaceWith(page.getElementById("result"));
  document.getElementById("toml")?.replaceWith(page.getElementById("toml"));
}

const editor = document.querySelector("form[data-live-form]");
let typing = 0;
editor?.addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(() => evaluate(editor), 400);
});

document.addEventListener("click", copyText);
document.addEventListener("keydown", key);
document.addEventListener("click", copy);
tellTimes(document);
setInterval(() => tellTimes(document), 15000);
if (document.body.dataset.live) watch(document.body.dataset.live);
