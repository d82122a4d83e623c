// Sends one file by tus and hands it over, whatever happens to the connection in between.
import { fingerprintOf, forget, placeOf, remember } from "./resumption.js";
import { say } from "./words.js";

const ENDPOINT = new URL("/api/v1/uploads", location.href);
const PAUSES_S = [1, 2, 4, 8, 15, 30];
// A connection on which nothing moves for so long is given up: a network that went away says nothing.
const STALL_S = 30;
const SPEED_OVER_S = 5;
// The check of a file may take minutes; after this its answer is asked for again.
const CHECK_S = 330;
// A file that has to begin again more often than this has no place to go.
const BEGINNINGS = 3;
const LONGEST_WAIT_S = 60;
// Refusals of what was said beside a file: its bytes stay, and wait for another word.
const OF_THE_FORM = new Set([
  "request_not_valid",
  "bad_sidecar",
  "missing_repetition_time",
  "implausible_repetition_time",
  "repetition_times_differ",
]);

// What came instead of an answer, or an answer that is a refusal; status 0: none at all.
class Trouble extends Error {
  constructor(status, body = "", retryAfter = null) {
    super(`status ${status}`);
    this.status = status;
    this.retryAfterSeconds = Number.parseInt(retryAfter, 10) || 0;
    try {
      this.problem = JSON.parse(body);
    } catch {
      // A proxy's own page, or nothing: the status is all there is.
      this.problem = {};
    }
  }

  static from(error) {
    if (error instanceof Trouble) return error;
    if (error.causingError instanceof Trouble) return error.causingError;
    const answer = error.originalResponse;
    if (!answer) return new Trouble(0);
    return new Trouble(answer.getStatus(), answer.getBody(), answer.getHeader("Retry-After"));
  }

  get isGone() {
    return this.status === 404 || this.status === 410;
  }

  get passes() {
    if (this.problem.code === "internal_error") return false;
    if (this.status === 429) return this.retryAfterSeconds <= LONGEST_WAIT_S;
    return this.status === 0 || this.status >= 500 || [408, 409, 423].includes(this.status);
  }

  get words() {
    if (this.status === 0 || this.status === 408) return say("connection_lost");
    return say(this.problem.code ? "service_busy" : "service_silent");
  }
}

// The client of tus weighs more than the rest of the page: it comes when somebody turns to the form.
export function fetchClient() {
  return import("/static/vendor/tus.min.js");
}

export class Sending {
  #file;
  #csrf;
  #chunkBytes;
  #tell;
  #fingerprint = null;
  #upload = null;
  #whole = false;
  #stopped = false;
  #pauses = 0;
  #beginnings = 0;
  #moves = [];
  #interrupt = () => {};

  // `tell` has progress({ sent, total, bytesPerSecond }), waiting(words, seconds) and checking().
  constructor(file, { csrf, chunkBytes, tell }) {
    this.#file = file;
    this.#csrf = csrf;
    this.#chunkBytes = chunkBytes;
    this.#tell = tell;
  }

  // Gives { accepted }, { refused: { status, problem } }, { loggedOut } or { stopped }; `fields` is asked for last.
  async run(fields) {
    this.#fingerprint = await fingerprintOf(this.#file);
    for (;;) {
      try {
        await fetchClient();
        if (!this.#whole) await this.#sendBytes();
        const accepted = await this.#complete(await fields());
        forget(this.#fingerprint);
        return { accepted };
      } catch (error) {
        if (this.#stopped) return { stopped: true };
        const trouble = Trouble.from(error);
        const accepted = trouble.isGone && !this.#whole && (await this.#handedOver(await fields()));
        if (accepted) {
          forget(this.#fingerprint);
          return { accepted };
        }
        const ending = await this.#endingAfter(trouble);
        if (ending) return ending;
      }
    }
  }

  // Takes what has arrived off the server again.
  stop() {
    this.#stopped = true;
    forget(this.#fingerprint);
    // Where the server cannot be reached, it forgets by itself.
    this.#upload?.abort(true).catch(() => {});
    this.#interrupt(new Trouble(0));
  }

  async #endingAfter(trouble) {
    if (trouble.status === 401) return { loggedOut: true };
    if (trouble.isGone && this.#beginnings < BEGINNINGS) {
      this.#beginAgain();
      return null;
    }
    if (!trouble.passes) {
      if (this.#whole && !OF_THE_FORM.has(trouble.problem.code)) this.#beginAgain();
      return { refused: trouble };
    }
    if (trouble.problem.code === "upload_incomplete") this.#whole = false;
    if (trouble.status === 0 && !(await this.#isReadable())) {
      const problem = { detail: say("file_changed"), remedy: say("choose_again") };
      return { refused: { status: 0, problem } };
    }
    await this.#pause(trouble);
    return this.#stopped ? { stopped: true } : null;
  }

  // A browser reports a file that it cannot read any more as it does a lost connection.
  async #isReadable() {
    try {
      await this.#file.slice(0, 1).arrayBuffer();
      return true;
    } catch {
      return false;
    }
  }

  #beginAgain() {
    forget(this.#fingerprint);
    this.#upload = null;
    this.#whole = false;
  }

  async #sendBytes() {
    this.#upload ??= this.#makeUpload();
    const upload = this.#upload;
    this.#moves = [];
    let movedAt = Date.now();
    let watch = null;
    try {
      await new Promise((resolve, reject) => {
        this.#interrupt = reject;
        watch = setInterval(() => {
          if (Date.now() - movedAt > STALL_S * 1000) upload.abort().then(() => reject(new Trouble(0)));
        }, 1000);
        upload.options.onProgress = (sent, total) => {
          movedAt = Date.now();
          this.#tell.progress({ sent, total, bytesPerSecond: this.#speed(movedAt, sent) });
        };
        upload.options.onChunkComplete = () => (this.#pauses = 0);
        upload.options.onSuccess = resolve;
        upload.options.onError = reject;
        upload.start();
      });
    } finally {
      clearInterval(watch);
    }
    this.#whole = true;
  }

  #makeUpload() {
    this.#beginnings += 1;
    const place = this.#fingerprint === null ? null : placeOf(this.#fingerprint);
    const upload = new globalThis.tus.Upload(this.#file, {
      endpoint: ENDPOINT.href,
      uploadUrl: place === null ? null : new URL(place, ENDPOINT).href,
      chunkSize: this.#chunkBytes,
      headers: { "X-CSRF-Token": this.#csrf },
      metadata: { filename: this.#file.name || "scan" },
      // Pauses are ours: the page counts them down, and a network that is back ends them.
      retryDelays: null,
      storeFingerprintForResuming: false,
      onUploadUrlAvailable: () => remember(this.#fingerprint, new URL(upload.url).pathname),
      onAfterResponse: (request, response) => {
        // For any of these tus-js-client would begin the file again from its first byte.
        const status = response.getStatus();
        if (request.getMethod() === "HEAD" && status >= 300) {
          throw new Trouble(status, "", response.getHeader("Retry-After"));
        }
      },
    });
    return upload;
  }

  // What is gone may have become a prediction whose name never arrived: asked again, the service tells it.
  async #handedOver(fields) {
    try {
      return this.#upload?.url ? await this.#complete(fields) : null;
    } catch {
      return null;
    }
  }

  async #complete(fields) {
    this.#tell.checking();
    const asked = new AbortController();
    const giveUp = () => asked.abort();
    const timer = setTimeout(giveUp, CHECK_S * 1000);
    // The network was away: what was asked before may never be answered.
    addEventListener("online", giveUp);
    this.#interrupt = giveUp;
    let answer;
    let body;
    try {
      answer = await fetch(`${new URL(this.#upload.url).pathname}/complete`, {
        method: "POST",
        headers: { "X-CSRF-Token": this.#csrf, "Content-Type": "application/json" },
        body: JSON.stringify(fields),
        signal: asked.signal,
      });
      body = await answer.text();
    } catch {
      throw new Trouble(0);
    } finally {
      clearTimeout(timer);
      removeEventListener("online", giveUp);
    }
    if (answer.status !== 202) throw new Trouble(answer.status, body, answer.headers.get("Retry-After"));
    return JSON.parse(body);
  }

  async #pause(trouble) {
    const planned = PAUSES_S[Math.min(this.#pauses, PAUSES_S.length - 1)];
    this.#pauses += 1;
    let isOver = false;
    const end = () => (isOver = true);
    this.#interrupt = end;
    addEventListener("online", end);
    for (let left = Math.max(planned, trouble.retryAfterSeconds); left > 0 && !isOver; left -= 1) {
      this.#tell.waiting(trouble.words, left);
      for (let tenth = 0; tenth < 10 && !isOver; tenth += 1) await new Promise((wake) => setTimeout(wake, 100));
    }
    removeEventListener("online", end);
  }

  #speed(now, sent) {
    this.#moves.push([now, sent]);
    while (this.#moves.length > 2 && now - this.#moves[0][0] > SPEED_OVER_S * 1000) this.#moves.shift();
    const [since, before] = this.#moves[0];
    return now - since < 500 ? 0 : (1000 * (sent - before)) / (now - since);
  }
}
