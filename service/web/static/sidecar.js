// Reads of a BIDS sidecar what is sent of it.

// Nothing else of it, which may be a name or a date, leaves the browser.
const READ =
  /^(RepetitionTime|SliceTiming|SliceEncodingDirection|VolumeTiming|NumberOfVolumesDiscardedBy(Scanner|User))$/;
// No converter writes so much; the service says what is wrong with the beginning of what is no sidecar.
const MOST_BYTES = 2 ** 20;
const SHOWN_CHARACTERS = 1024;

export async function read(file) {
  // One that was changed since it was chosen cannot be read any more.
  const text = await file.slice(0, MOST_BYTES).text().catch(() => "");
  try {
    const entries = Object.entries(JSON.parse(text.replace(/^\ufeff/, ""))).filter(([name]) => READ.test(name));
    if (/^\ufeff?\s*\{/.test(text)) return JSON.stringify(Object.fromEntries(entries));
  } catch {
    // Said by the service.
  }
  return text.trim() === "" ? "empty" : text.slice(0, SHOWN_CHARACTERS);
}
