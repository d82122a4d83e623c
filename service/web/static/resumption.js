// Where an unfinished upload lies, so that the same file goes on there after the page was loaded anew. What is kept
// in the browser is a hash of the file's name, size and date beside an address: neither name nor anything about the
// person. Where the browser keeps nothing, or cannot hash (plain http), an upload goes on while its page stays open.
const PREFIX = "restnet-upload ";
const KEPT_MS = 24 * 3600 * 1000;

export async function fingerprintOf(file) {
  if (!globalThis.crypto.subtle) return null;
  const said = new TextEncoder().encode(JSON.stringify([file.name, file.size, file.lastModified]));
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", said));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export function placeOf(fingerprint) {
  forgetOld();
  return attempt(() => JSON.parse(localStorage.getItem(PREFIX + fingerprint))?.place) ?? null;
}

export function remember(fingerprint, place) {
  if (fingerprint === null) return;
  attempt(() => localStorage.setItem(PREFIX + fingerprint, JSON.stringify({ place, at: Date.now() })));
}

export function forget(fingerprint) {
  attempt(() => localStorage.removeItem(PREFIX + fingerprint));
}

function forgetOld() {
  attempt(() => {
    for (const name of Object.keys(localStorage).filter((key) => key.startsWith(PREFIX))) {
      const kept = attempt(() => JSON.parse(localStorage.getItem(name)));
      if (!kept || Date.now() - kept.at > KEPT_MS) localStorage.removeItem(name);
    }
  });
}

function attempt(act) {
  try {
    return act();
  } catch {
    // A browser that keeps nothing, or something that is not ours.
    return undefined;
  }
}
