// Uploads a scan with its progress; without this script the same form is sent in the plain way.
const form = document.getElementById("upload");
const input = document.getElementById("scan");
const drop = document.getElementById("drop");
const chosen = document.getElementById("chosen");
const panel = document.getElementById("uploading");
const bar = document.getElementById("bar");
const said = document.getElementById("said");
const problem = document.getElementById("problem");
const stop = document.getElementById("stop");
const send = form.querySelector("button[type=submit]");
const maxBytes = Number(form.dataset.maxBytes);
let request = null;
let attempt = null;

// In the units that the page writes its limit in: 1 GiB is 1024 MiB.
function readable(bytes) {
  if (bytes < 1024) return `${bytes} bytes`;
  const units = ["KiB", "MiB", "GiB"];
  let value = bytes / 1024;
  while (value >= 1024 && units.length > 1) {
    value /= 1024;
    units.shift();
  }
  return `${value.toFixed(1).replace(/\.0$/, "")} ${units[0]}`;
}

// What is wrong with a file that is not even sent, and what to do about it; nothing where it may be a scan.
function complaint(file) {
  if (!/\.nii(\.gz)?$/i.test(file.name)) {
    const remedy = /\.(hdr|img)(\.gz)?$/i.test(file.name) ? form.dataset.pair : form.dataset.notNifti;
    return ["Expected a file that ends in .nii or .nii.gz.", remedy];
  }
  if (file.size === 0) return ["Expected a scan, found an empty file.", form.dataset.empty];
  if (file.size > maxBytes) {
    return [`Expected at most ${readable(maxBytes)}, found ${readable(file.size)}.`, form.dataset.tooLarge];
  }
  return [];
}

function tell(sentences, code) {
  problem.replaceChildren(
    ...sentences.map((text, index) => {
      const paragraph = document.createElement("p");
      paragraph.append(index === 0 ? Object.assign(document.createElement("strong"), { textContent: text }) : text);
      return paragraph;
    }),
  );
  if (code) {
    const mark = Object.assign(document.createElement("span"), { className: "code", textContent: code });
    problem.lastElementChild.append(" ", mark);
  }
  problem.hidden = sentences.length === 0;
}

function choose() {
  const file = input.files[0];
  attempt = null;
  chosen.textContent = file ? `${file.name}, ${readable(file.size)}` : "";
  const wrong = file ? complaint(file) : [];
  input.setCustomValidity(wrong[0] ?? "");
  tell(wrong);
  drop.classList.toggle("full", Boolean(file) && wrong.length === 0);
}

function randomKey() {
  // crypto.randomUUID exists on https and localhost only.
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function busy(isBusy) {
  send.disabled = isBusy;
  stop.hidden = !isBusy;
  panel.hidden = !isBusy;
}

function sentence(text) {
  return `${text.charAt(0).toUpperCase()}${text.slice(1).replace(/\.$/, "")}.`;
}

function finished() {
  busy(false);
  let answer = {};
  try {
    answer = JSON.parse(request.responseText);
  } catch {
    // A proxy's own page: the status below is all there is to say.
  }
  if (request.status === 202) {
    said.textContent = "Uploaded.";
    location.assign(answer.links.page);
  } else if (request.status === 401) {
    // The login ended in the meantime, most likely in another tab: the page there says what was lost.
    location.assign("/login?lost=scan");
  } else {
    attempt = null;
    const reason = sentence(answer.detail ?? `The server answered ${request.status}`);
    tell(["This file was not accepted.", reason, ...(answer.remedy ? [answer.remedy] : [])], answer.code);
  }
}

function upload(event) {
  event.preventDefault();
  tell([]);
  const file = input.files[0];
  if (!file) return;
  // The same key for the same try: sending it again after a broken connection makes no second prediction.
  attempt ??= randomKey();
  const body = new FormData();
  for (const name of ["subject_id", "age_years", "sex", "site"]) body.append(name, form.elements[name].value);
  body.append("scan", file, file.name);
  request = new XMLHttpRequest();
  request.open("POST", "/api/v1/scans");
  request.setRequestHeader("X-CSRF-Token", form.dataset.csrf);
  request.setRequestHeader("Idempotency-Key", attempt);
  let quarter = -1;
  request.upload.addEventListener("progress", ({ loaded, total }) => {
    bar.value = loaded / total;
    // Read out at each quarter only: a live region must not chatter.
    const now = Math.floor((4 * loaded) / total);
    if (now !== quarter) {
      quarter = now;
      said.textContent = now === 4 ? "Uploaded. Checking the file." : `Uploading, ${25 * now} %`;
    }
  });
  request.addEventListener("load", finished);
  request.addEventListener("error", () => {
    busy(false);
    tell(["The connection broke.", "Send it again: what has arrived already is not counted twice."]);
  });
  request.addEventListener("abort", () => {
    busy(false);
    attempt = null;
    tell(["Upload stopped."]);
  });
  busy(true);
  bar.value = 0;
  said.textContent = "Uploading";
  request.send(body);
}

input.addEventListener("change", choose);
form.addEventListener("submit", upload);
stop.addEventListener("click", () => request?.abort());
for (const name of ["dragenter", "dragover"]) {
  drop.addEventListener(name, (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
}
for (const name of ["dragleave", "drop"]) drop.addEventListener(name, () => drop.classList.remove("over"));
drop.addEventListener("drop", (event) => {
  event.preventDefault();
  input.files = event.dataTransfer.files;
  choose();
});
choose();
