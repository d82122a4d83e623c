// The page for a new prediction; without this script the same form is sent in the plain way, one file.
import { Batch } from "./batch.js";
import { look } from "./choice.js";
import { areSound, mayAnswer, pointTo, valuesOf, watchFields } from "./fields.js";
import { Sending, fetchClient } from "./sending.js";
import { Progress, refusalOf, write } from "./views.js";
import { readable, remedy, say } from "./words.js";

const form = document.getElementById("upload");
const input = document.getElementById("scan");
const drop = document.getElementById("drop");
const chosen = document.getElementById("chosen");
const panel = document.getElementById("uploading");
const problem = document.getElementById("problem");
const stop = document.getElementById("stop");
const about = document.getElementById("about");
const several = document.getElementById("several");
const send = form.querySelector("button[type=submit]");
const sendWords = send.textContent;
const known = { maxBytes: Number(form.dataset.maxBytes) };
const sendingOptions = { csrf: form.dataset.csrf, chunkBytes: Number(form.dataset.chunkBytes) };
const progress = new Progress({
  bar: document.getElementById("bar"),
  line: document.getElementById("line"),
  said: document.getElementById("said"),
});
const batch = new Batch(document.getElementById("batch"), document.getElementById("batch-row"), {
  ...sendingOptions,
  busy,
  told: (words) => (chosen.textContent = words),
  loggedOut,
});
let looking = Promise.resolve([]);
let sending = null;

function loggedOut() {
  // The login ended in the meantime, most likely in another tab: the page there says what was lost.
  location.assign("/login?lost=scan");
}

function busy(isBusy) {
  const isBatch = input.files.length > 1;
  nameButton();
  send.disabled ||= isBusy;
  input.disabled = isBusy;
  stop.hidden = !isBusy;
  stop.textContent = say(isBatch ? "stop_all" : "stop_one");
  panel.hidden = !isBusy || isBatch;
}

// Says how many files of a batch it would send; without any it sends nothing.
function nameButton() {
  const isBatch = input.files.length > 1;
  send.disabled = isBatch && batch.waiting === 0;
  const counts = { send: sendWords, waiting: batch.waiting, count: input.files.length };
  send.textContent = isBatch && batch.waiting ? say("send_several", counts) : sendWords;
}

function complain(sentences, code) {
  write(problem, sentences, code);
  // It stands below the files; on a small screen the button is further down.
  problem.scrollIntoView({ block: "nearest" });
}

function choose() {
  const files = [...input.files];
  write(problem, []);
  const [first] = files;
  chosen.textContent = files.length === 1 ? say("name_and_size", { name: first.name, size: readable(first.size) }) : "";
  drop.classList.remove("full");
  looking = Promise.all(files.map((file) => look(file, known)));
  const current = looking;
  current.then((looked) => {
    // Others may have been chosen while these were read.
    if (looking === current) show(looked);
  });
}

function show(looked) {
  const isBatch = looked.length > 1;
  about.disabled = isBatch;
  several.hidden = !isBatch;
  batch.show(isBatch ? looked : []);
  nameButton();
  if (isBatch) chosen.textContent = say("files", { count: looked.length });
  drop.classList.toggle("full", looked.some((one) => !one.problem));
  const [only] = looked.length === 1 ? looked : [];
  if (only?.problem && !mayAnswer(form, only.problem.code)) {
    complain(only.problem.sentences, only.problem.code);
    pointTo(form, only.problem.code, { focus: false });
  }
  if (only?.words) chosen.append(Object.assign(document.createElement("span"), { textContent: only.words }));
}

async function upload(event) {
  event.preventDefault();
  if (sending || input.disabled) return;
  const looked = await looking;
  if (looked.length > 1) {
    await batch.send();
    return;
  }
  if (looked.length === 0) {
    complain([remedy({ code: "scan_missing" })]);
    input.focus();
    return;
  }
  const { problem: found } = looked[0];
  if (!areSound(form)) return;
  if (found && !mayAnswer(form, found.code)) {
    pointTo(form, found.code, { focus: true });
    return;
  }
  await uploadOne(looked[0].file);
}

async function uploadOne(file) {
  write(problem, []);
  const tell = {
    progress: (state) => progress.progress(state),
    waiting: (words, seconds) => {
      stop.hidden = false;
      progress.waiting(words, seconds);
    },
    checking: () => {
      stop.hidden = true;
      progress.checking();
    },
  };
  sending = new Sending(file, { ...sendingOptions, tell });
  busy(true);
  progress.begin();
  const outcome = await sending.run(() => valuesOf(form));
  sending = null;
  if (outcome.loggedOut) {
    loggedOut();
  } else if (outcome.accepted) {
    progress.say(say("uploaded"));
    location.assign(outcome.accepted.links.page);
  } else {
    busy(false);
    if (outcome.stopped) complain([say("upload_stopped")]);
    else {
      complain(refusalOf(outcome.refused), outcome.refused.problem.code);
      pointTo(form, outcome.refused.problem.code, { focus: true });
    }
  }
}

function stopAll() {
  if (sending) sending.stop();
  else batch.stop();
}

function takeDropped(event) {
  event.preventDefault();
  if (input.disabled || event.dataTransfer.files.length === 0) return;
  input.files = event.dataTransfer.files;
  choose();
}

// Without its library, which somebody who runs the service may not have fetched, the plain form is left as it is.
if (form.dataset.chunkBytes) {
  // Sooner than it is needed; where it cannot be had now, sending asks again.
  for (const name of ["focusin", "pointerover", "dragenter"]) {
    form.addEventListener(name, () => fetchClient().catch(() => {}), { once: true });
  }
  input.multiple = true;
  form.noValidate = true;
  document.getElementById("scan-hint").textContent = form.dataset.hint;
  watchFields(form);
  input.addEventListener("change", choose);
  form.addEventListener("submit", upload);
  stop.addEventListener("click", stopAll);
  for (const name of ["dragenter", "dragover"]) {
    drop.addEventListener(name, (event) => {
      event.preventDefault();
      drop.classList.add("over");
    });
  }
  for (const name of ["dragleave", "drop"]) drop.addEventListener(name, () => drop.classList.remove("over"));
  drop.addEventListener("drop", takeDropped);
  choose();
}
