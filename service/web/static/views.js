// What is shown of an upload: in the panel below the form for one file, in a row each for several.
import { explained, remedy, say, uploading } from "./words.js";

const SAID_AT_QUARTERS = 4;

// Sentences, the first in bold, and the code of what was refused behind the last.
export function write(box, sentences, code) {
  box.replaceChildren(
    ...sentences.map((text, index) => {
      const paragraph = document.createElement("p");
      paragraph.append(index === 0 ? Object.assign(document.createElement("strong"), { textContent: text }) : text);
      return paragraph;
    }),
  );
  if (code) {
    const mark = Object.assign(document.createElement("span"), { className: "code", textContent: code });
    box.lastElementChild.append(" ", mark);
  }
  box.hidden = sentences.length === 0;
}

// The sentences of a refusal that came instead of a prediction.
export function refusalOf({ status, problem }) {
  const advice = remedy(problem);
  const reasons = explained({ ...problem, detail: problem.detail ?? say("answered", { status }) });
  return [say("file_refused"), ...reasons, ...(advice ? [advice] : [])];
}

// Tells how far an upload is: in a bar, in a line that changes all the time, and in one that is read out.
export class Progress {
  #bar;
  #line;
  #said;
  #quarter = -1;

  constructor({ bar, line, said }) {
    this.#bar = bar;
    this.#line = line;
    this.#said = said;
  }

  begin() {
    this.#quarter = -1;
    this.#bar.value = 0;
    this.say(say("uploading"));
  }

  progress({ sent, total, bytesPerSecond }) {
    // Of an empty file nothing is sent, and all of it has come.
    if (total === 0) return;
    this.#bar.value = sent / total;
    this.#line.textContent = uploading({ sent, total, bytesPerSecond });
    // A live region must not chatter.
    const now = Math.floor((SAID_AT_QUARTERS * sent) / total);
    if (now === this.#quarter) return;
    this.#quarter = now;
    const percent = `${(100 * now) / SAID_AT_QUARTERS} %`;
    this.#said.textContent = now === 0 ? say("uploading") : say("uploading_share", { percent });
  }

  waiting(words, seconds) {
    this.#quarter = -1;
    if (this.#said.textContent !== words) this.#said.textContent = words;
    this.#line.textContent = say("trying_again", { words, seconds });
  }

  checking() {
    this.#bar.value = 1;
    this.say(say("checking"));
  }

  say(words) {
    this.#line.textContent = words;
    this.#said.textContent = words;
  }
}
