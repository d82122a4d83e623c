// Says beside a field what is wrong with it: when it is left, or as soon as no further typing can put it right.
import { say } from "./words.js";

const PSEUDONYM = /^[A-Za-z0-9][A-Za-z0-9._-]*$/;

function pseudonym(value) {
  if (value === "" || PSEUDONYM.test(value)) return null;
  return { words: say(/^[._-]/.test(value) ? "wrong_beginning" : "wrong_characters"), isForGood: true };
}

function age(input) {
  if (input.validity.badInput) return { words: say("age_no_number"), isForGood: false };
  if (input.value === "") return null;
  const years = Number(input.value);
  if (years >= 0 && years <= 130) return null;
  return { words: say("age_out_of_range"), isForGood: true };
}

function repetitionTime(input) {
  if (input.validity.badInput) return { words: say("tr_out_of_range"), isForGood: false };
  if (input.value === "") return null;
  const seconds = Number(input.value);
  if (seconds >= 0.1 && seconds <= 6.25) return null;
  // "0" may become "0.8".
  return { words: say("tr_out_of_range"), isForGood: seconds > 6.25 };
}

function run(input) {
  if (input.value === "" || /^[A-Za-z0-9][A-Za-z0-9_-]*$/.test(input.value)) return null;
  return { words: say("wrong_run"), isForGood: true };
}

const CHECKS = {
  subject_id: (input) => pseudonym(input.value),
  site: (input) => pseudonym(input.value),
  age_years: age,
  tr_s: repetitionTime,
  run,
};
const SENT = ["subject_id", "age_years", "sex", "site", "tr_s", "slice_order", "run"];

function show(input, found) {
  const line = document.getElementById(`${input.name}-problem`);
  const words = found === null ? "" : found.words;
  // Only a new sentence is read out: a live region repeats whatever is set.
  if (line.textContent !== words) line.textContent = words;
  if (found === null) input.removeAttribute("aria-invalid");
  else input.setAttribute("aria-invalid", "true");
}

// Which field has what a file was refused for the lack of, and why, by the code; script_words.py has the same.
const FIELD_TO_GIVE = {
  missing_repetition_time: ["tr_s", "tr_needed"],
  implausible_repetition_time: ["tr_s", "tr_needed"],
  repetition_times_differ: ["tr_s", "tr_disputed"],
  bad_sidecar: ["sidecar", "sidecar_unusable"],
};
// Whether the form may say what a file was refused for.
export function mayAnswer(form, code) {
  if (!["missing_repetition_time", "implausible_repetition_time"].includes(code)) return false;
  return form.elements.tr_s.value !== "" || form.elements.sidecar.files.length > 0;
}

// Points to the field that a file was refused for the lack of; does nothing where there is none.
export function pointTo(form, code, { focus }) {
  if (!(code in FIELD_TO_GIVE)) return;
  const [name, why] = FIELD_TO_GIVE[code];
  const input = form.elements[name];
  input.closest("details").open = true;
  show(input, { words: say(why) });
  if (focus) input.focus();
}

async function sidecarOf(form) {
  const [file] = form.elements.sidecar.files;
  // Few scans come with one: the page is there sooner without what reads it.
  return file ? (await import("./sidecar.js")).read(file) : "";
}

export function watchFields(form) {
  const { sidecar } = form.elements;
  sidecar.addEventListener("change", () => show(sidecar, null));
  sidecar.addEventListener("click", () => {
    // Chosen again after it was corrected, the same file would be no change.
    if (sidecar.hasAttribute("aria-invalid")) sidecar.value = "";
  });
  for (const [name, check] of Object.entries(CHECKS)) {
    const input = form.elements[name];
    input.addEventListener("input", () => {
      const found = check(input);
      if (found === null || found.isForGood || input.hasAttribute("aria-invalid")) show(input, found);
    });
    input.addEventListener("blur", () => show(input, check(input)));
  }
}

// Shows every problem, puts the focus to the first, and tells whether there is none.
export function areSound(form) {
  const wrong = Object.entries(CHECKS)
    .map(([name, check]) => [form.elements[name], check(form.elements[name])])
    .filter(([input, found]) => {
      show(input, found);
      return found !== null;
    });
  // What is folded away cannot have the focus.
  wrong[0]?.[0].closest("details")?.setAttribute("open", "");
  wrong[0]?.[0].focus();
  return wrong.length === 0;
}

export async function valuesOf(form) {
  const values = Object.fromEntries(SENT.map((name) => [name, form.elements[name].value]));
  return { ...values, sidecar: await sidecarOf(form) };
}
