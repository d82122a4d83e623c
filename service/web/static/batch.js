// Several files: a row for each, sent one after another.
import { Sending } from "./sending.js";
import { Progress, refusalOf, write } from "./views.js";
import { readable, say } from "./words.js";

class Row {
  #options;
  #sending = null;
  #progress;
  #isStopped = false;

  constructor(looked, template, options) {
    this.looked = looked;
    this.#options = options;
    this.element = template.content.firstElementChild.cloneNode(true);
    const { file, words, problem } = looked;
    this.#part("name").textContent = file.name;
    this.#part("about").textContent = words ? say("size_and_words", { size: readable(file.size), words }) : readable(file.size);
    this.#progress = new Progress({
      bar: this.#part("bar"),
      line: this.#part("line"),
      said: this.#part("said"),
    });
    this.#part("bar").setAttribute("aria-label", say("upload_of", { name: file.name }));
    this.#button("stop", say("stop_of", { name: file.name })).addEventListener("click", () => this.stop());
    this.#button("again", say("again_of", { name: file.name })).addEventListener("click", () => this.#again());
    this.isWaiting = !problem;
    if (problem) this.#refuse(problem.sentences, problem.code, { mayPass: false });
    else this.#show("waiting", say("waiting"));
  }

  get state() {
    return this.element.dataset.state;
  }

  // Tells whether the login is still there.
  async send() {
    this.isWaiting = false;
    this.#show("sending", say("uploading"));
    this.#progress.begin();
    const tell = {
      progress: (state) => this.#progress.progress(state),
      waiting: (words, seconds) => {
        this.#part("stop").hidden = false;
        this.#progress.waiting(words, seconds);
      },
      checking: () => {
        this.#part("stop").hidden = true;
        this.#progress.checking();
      },
    };
    this.#sending = new Sending(this.looked.file, { ...this.#options, tell });
    const outcome = await this.#sending.run(() => ({}));
    this.#sending = null;
    if (outcome.loggedOut) return false;
    if (outcome.accepted) this.#accept(outcome.accepted);
    if (outcome.refused) this.#refuse(refusalOf(outcome.refused), outcome.refused.problem.code, { mayPass: true });
    if (outcome.stopped) this.#show("stopped", say("stopped"));
    return true;
  }

  stop() {
    if (this.#sending === null && !this.isWaiting) return;
    this.isWaiting = false;
    if (this.#sending) this.#sending.stop();
    else this.#show("stopped", say("stopped"));
  }

  #again() {
    this.isWaiting = true;
    this.#show("waiting", say("waiting"));
    write(this.#part("problem"), []);
    this.#options.goOn();
  }

  #accept({ links }) {
    this.#show("done", say("uploaded"));
    const link = this.#part("link");
    link.href = links.page;
    link.setAttribute("aria-label", say("prediction_of", { name: this.looked.file.name }));
    link.hidden = false;
  }

  #refuse(sentences, code, { mayPass }) {
    this.#show("refused", say("refused"));
    this.#part("again").hidden = !mayPass;
    write(this.#part("problem"), sentences, code);
  }

  #show(state, words) {
    this.element.dataset.state = state;
    this.#progress.say(words);
    this.#part("bar").hidden = state !== "sending";
    this.#part("stop").hidden = !["waiting", "sending"].includes(state);
    this.#part("again").hidden = !["stopped", "refused"].includes(state);
  }

  #button(part, name) {
    const button = this.#part(part);
    button.setAttribute("aria-label", name);
    return button;
  }

  #part(name) {
    return this.element.querySelector(`[data-part=${name}]`);
  }
}

export class Batch {
  #list;
  #template;
  #options;
  #rows = [];
  #isSending = false;

  // `options`: csrf, chunkBytes, busy(isBusy), told(words) and loggedOut().
  constructor(list, template, options) {
    this.#list = list;
    this.#template = template;
    this.#options = options;
  }

  show(looked) {
    const options = { ...this.#options, goOn: () => this.send() };
    this.#rows = looked.map((one) => new Row(one, this.#template, options));
    this.#list.replaceChildren(...this.#rows.map((row) => row.element));
    this.#list.hidden = looked.length === 0;
  }

  get waiting() {
    return this.#rows.filter((row) => row.isWaiting).length;
  }

  async send() {
    if (this.#isSending) return;
    this.#isSending = true;
    this.#options.busy(true);
    for (let row = this.#next(); row; row = this.#next()) {
      if (!(await row.send())) {
        this.#options.loggedOut();
        return;
      }
    }
    this.#isSending = false;
    this.#options.busy(false);
    this.#options.told(this.#summary());
  }

  stop() {
    for (const row of this.#rows) row.stop();
  }

  #summary() {
    const counts = ["done", "refused", "stopped"].map((state) => [
      state,
      this.#rows.filter((row) => row.state === state).length,
    ]);
    const said = counts.filter(([, count]) => count > 0).map(([state, count]) => say(`count_${state}`, { count }));
    return say("summary", { count: this.#rows.length, said: said.join(say("list_comma")) });
  }

  #next() {
    return this.#rows.find((row) => row.isWaiting);
  }
}
