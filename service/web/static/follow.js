// Follows a running prediction over server-sent events and shows the page anew when it has ended.
import { say } from "./words.js";

const ORDER = ["queued", "preprocessing", "normalising", "classifying"];

// What is done to a scan of the scanner's space.
const STAGES = {
  looking: () => say("stage_looking"),
  unpacking: () => say("stage_unpacking"),
  converting: () => say("stage_converting"),
  reading: () => say("stage_reading"),
  slice_timing: () => say("stage_slice_timing"),
  motion: () => say("stage_motion"),
  registration: () => say("stage_registration"),
  resampling: () => say("stage_resampling"),
  cleaning: () => say("stage_cleaning"),
  smoothing: () => say("stage_smoothing"),
};

function about(seconds) {
  if (seconds < 10) return say("few_seconds");
  if (seconds < 90) return say("about_seconds", { seconds: Math.ceil(seconds / 10) * 10 });
  return say("about_minutes", { minutes: Math.ceil(seconds / 60) });
}

function line(state) {
  if (state.cancel_requested) return say("stopping");
  if (state.status === "queued" && state.queue_position) {
    const place = say(state.queue_position === 1 ? "next_in_line" : "in_line", { place: state.queue_position });
    if (state.expected_wait_s === null) return say("queued_at", { place });
    return say("queued_for", { place, wait: about(state.expected_wait_s) });
  }
  if (state.stage in STAGES) return say("normalising_stage", { stage: STAGES[state.stage]() });
  return say(state.status);
}

function show(root, state) {
  root.querySelector("#progress").value = state.progress;
  const heading = root.querySelector("[data-line]");
  // Only a new sentence is read out: a live region repeats whatever is set.
  if (heading.textContent !== line(state)) heading.textContent = line(state);
  const at = ORDER.indexOf(state.status);
  for (const step of root.querySelectorAll("[data-step]")) {
    const index = ORDER.indexOf(step.dataset.step);
    if (step.dataset.step === "normalising") step.hidden = state.queue !== "normalising";
    step.className = index < at ? "done" : index === at ? "now" : "";
    step.toggleAttribute("aria-current", index === at);
    if (index === at) step.setAttribute("aria-current", "step");
  }
}

async function end() {
  const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
  if (!answer.ok || new URL(answer.url).pathname !== location.pathname) {
    location.reload();
    return;
  }
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  const root = document.getElementById("prediction");
  root.replaceWith(document.adoptNode(fresh.getElementById("prediction")));
  window.htmx?.process(document.getElementById("prediction"));
  document.body.dispatchEvent(new CustomEvent("htmx:afterSettle"));
  // Whoever listens to the page hears that the answer is there.
  document.getElementById("content").focus({ preventScroll: true });
}

const root = document.getElementById("prediction");
if (root?.dataset.events) {
  const source = new EventSource(root.dataset.events);
  source.addEventListener("progress", (event) => {
    const state = JSON.parse(event.data);
    if (ORDER.includes(state.status)) {
      show(root, state);
    } else {
      source.close();
      end();
    }
  });
  source.addEventListener("error", () => {
    // The browser connects again by itself unless a proxy or an ended login has answered in the stream's place.
    if (source.readyState === EventSource.CLOSED) setTimeout(() => location.reload(), 3000);
  });
  addEventListener("pagehide", () => source.close());
}
