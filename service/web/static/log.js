// Keeps a reader's place in the log of a run: the page puts it in anew every few seconds, with the newest line on top.
let place = null;

function below(line, log) {
  return line.getBoundingClientRect().top - log.getBoundingClientRect().top;
}

function keep() {
  const log = document.getElementById("log");
  // Who is at the newest line stays there, and sees what comes.
  const read = log.scrollTop > 0 && [...log.children].find((line) => below(line, log) >= 0);
  place = read ? { id: read.id, below: below(read, log) } : null;
}

function restore() {
  if (place === null) return;
  const log = document.getElementById("log");
  const line = document.getElementById(place.id);
  // A line that has gone was the oldest: the end of the list is where it would be.
  log.scrollTop = line ? log.scrollTop + below(line, log) - place.below : log.scrollHeight;
}

document.body.addEventListener("htmx:beforeSwap", keep);
document.body.addEventListener("htmx:afterSwap", restore);
// Again when the times are in the reader's own zone, which may break a line elsewhere.
document.body.addEventListener("htmx:afterSettle", restore);
