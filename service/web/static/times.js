// Shows times in the reader's own zone; the server writes them in UTC.
const language = document.documentElement.lang;
const inZone = (timeStyle) =>
  new Intl.DateTimeFormat(language === "en" ? "en-GB" : language, { dateStyle: "medium", timeStyle });
const minutes = inZone("short");
// Where events that follow each other are told apart by them.
const seconds = inZone("medium");

function localise(root) {
  for (const element of root.querySelectorAll("time[datetime]:not([title])")) {
    element.title = element.textContent;
    element.textContent = ("seconds" in element.dataset ? seconds : minutes).format(new Date(element.dateTime));
  }
}

localise(document);
document.body.addEventListener("htmx:afterSettle", () => localise(document));
