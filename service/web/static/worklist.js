// The list of predictions: keys along its rows, and what to say while it cannot be renewed.
import { clock, say } from "./words.js";

const AGAIN_MS = 4000;
const keys = document.getElementById("keys");
const lost = document.getElementById("lost");
const said = document.getElementById("said");
const search = document.getElementById("search");

let renewed = new Date();
let again = 0;
let refused = false;
let asked = false;
let row = "";

function links() {
  return [...document.querySelectorAll("#list tbody th a")];
}

function move(step) {
  const all = links();
  const at = all.findIndex((link) => link.closest("tr").contains(document.activeElement));
  all[Math.min(Math.max(at + step, 0), all.length - 1)]?.focus();
}

function toSearch() {
  search.focus();
  search.select();
}

const acts = new Map([
  ["j", () => move(1)],
  ["ArrowDown", () => move(1)],
  ["k", () => move(-1)],
  ["ArrowUp", () => move(-1)],
  ["/", toSearch],
  ["?", () => keys.showModal()],
]);

document.addEventListener("keydown", (event) => {
  // Only while the list has the focus: elsewhere a letter is what somebody types or says.
  if (event.ctrlKey || event.metaKey || event.altKey || !event.target.closest("#list")) return;
  const act = acts.get(event.key);
  if (!act) return;
  event.preventDefault();
  act();
});

document.getElementById("show-keys").addEventListener("click", () => keys.showModal());
document.getElementById("about-keys").hidden = false;

function isAct(element) {
  return element.matches("#list form");
}

document.body.addEventListener("htmx:beforeRequest", ({ detail: { elt } }) => {
  asked = elt.id !== "list";
  row = isAct(elt) ? elt.closest("tr").querySelector("th a").id : "";
  if (asked) refused = false;
});

document.body.addEventListener("htmx:afterSwap", ({ detail: { requestConfig } }) => {
  renewed = new Date();
  clearTimeout(again);
  if (!refused) lost.hidden = true;
  // What somebody asked for is read out; what comes by itself is not.
  if (requestConfig.elt.id === "list") return;
  said.textContent = document.querySelector("#list caption, #list .lead, #list .notice")?.textContent ?? "";
});

document.body.addEventListener("htmx:afterSettle", () => {
  // What was pressed may be gone, and with it the place of whoever uses the keyboard.
  if (!asked || document.activeElement !== document.body) return;
  (document.getElementById(row) ?? links()[0] ?? document.getElementById("content")).focus();
  asked = false;
});

function fail({ detail: { elt } }) {
  const list = document.getElementById("list");
  refused = isAct(elt);
  lost.textContent = say(refused ? "not_done" : "list_lost", { time: clock.format(renewed) });
  lost.hidden = false;
  if (elt === list && "running" in list.dataset) return;
  clearTimeout(again);
  again = setTimeout(() => {
    if (elt.matches("form.filters")) window.htmx.trigger(elt, "submit");
    else window.htmx.trigger("#list", "renew");
  }, AGAIN_MS);
}

for (const name of ["htmx:sendError", "htmx:responseError", "htmx:timeout"]) {
  document.body.addEventListener(name, fail);
}
