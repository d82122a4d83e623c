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

const CHECKS = { subject_id: (input) => pseudonym(input.value), site: (input) => pseudonym(input.value), age_years: age };

function show(input, found) {
  const line = document.getElementById(`${input.name}-problem`);
  const words = found === null ? "" : found.words;
  // Only a new sentence is read out: a live region repeats whatever is set.
  if (line.textContent !== words) line.textContent = words;
  if (found === null) input.removeAttribute("aria-invalid");
  else input.setAttribute("aria-invalid", "true");
}

export function watchFields(form) {
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
  wrong[0]?.[0].focus();
  return wrong.length === 0;
}

export function valuesOf(form) {
  return Object.fromEntries(["subject_id", "age_years", "sex", "site"].map((name) => [name, form.elements[name].value]));
}
