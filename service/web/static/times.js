// Shows times in the reader's own zone; the server writes them in UTC.
const format = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "short" });

function localise(root) {
  for (const element of root.querySelectorAll("time[datetime]:not([title])")) {
    element.title = element.textContent;
    element.textContent = format.format(new Date(element.dateTime));
  }
}

localise(document);
document.body.addEventListener("htmx:afterSettle", () => localise(document));
