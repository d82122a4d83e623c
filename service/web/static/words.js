// The words of the page, which come with it in its language, and how sizes, speeds and sentences are written.
const LANGUAGE = document.documentElement.lang || "en";
const WORDS = JSON.parse(document.querySelector("meta[name=words]")?.content ?? "{}");
// As the service writes its own: no sign between the thousands of a number that is short.
const NUMBER = new Intl.NumberFormat(LANGUAGE, { maximumFractionDigits: 3 });

export const clock = new Intl.DateTimeFormat(LANGUAGE === "en" ? "en-GB" : LANGUAGE, { timeStyle: "short" });

// Puts values into the places of a template, "%(name)s".
function filled(template, values) {
  return template.replaceAll(/%\((\w+)\)s/g, (_, name) => values[name]);
}

// What the page says under a name; with values, in the places that it names.
export function say(name, values = {}) {
  return filled(WORDS[name], values);
}

// What a code of ours is called in the page's language; itself where the page has no other word.
export function called(kind, name) {
  return WORDS[kind]?.[name] ?? name;
}

function written(value) {
  if (Array.isArray(value)) return value.join(" × ");
  if (typeof value === "number") return NUMBER.format(value);
  return WORDS.values?.[value] ?? String(value);
}

// The sentences of a refusal by its code where the page has some, and the service's own where it has none.
export function explained({ code, detail, details = {} }) {
  const template = WORDS.refusals?.[code];
  const places = template ? [...template.matchAll(/%\((\w+)\)s/g)].map(([, name]) => name) : [];
  if (!template || places.some((name) => !(name in details))) return [sentence(detail)];
  const said = filled(template, Object.fromEntries(places.map((name) => [name, written(details[name])])));
  const lacks = Object.keys(details).some((name) => !places.includes(name));
  return lacks ? [said, say("technical", { detail: sentence(detail) })] : [said];
}

// What a person can do about a refusal, if anything.
export function remedy({ code, remedy: own }) {
  return WORDS.remedies?.[code] ?? own;
}

// In the units that the page writes its limit in: 1 GiB is 1024 MiB.
export function readable(bytes) {
  if (bytes < 1024) return say("bytes", { count: bytes });
  const units = ["KiB", "MiB", "GiB"];
  let value = bytes / 1024;
  while (value >= 1024 && units.length > 1) {
    value /= 1024;
    units.shift();
  }
  return `${value.toFixed(1).replace(/\.0$/, "")} ${units[0]}`;
}

export function sentence(text) {
  if (text.endsWith("\u3002")) return text;
  return `${text.charAt(0).toUpperCase()}${text.slice(1).replace(/\.$/, "")}.`;
}

function left(seconds) {
  if (seconds < 90) return say("seconds_left", { count: Math.max(Math.ceil(seconds), 1) });
  return say("minutes_left", { count: Math.ceil(seconds / 60) });
}

// "Uploading, 43 %, 2.1 MB/s, 20 s left"; the latter two once something can be said of them.
export function uploading({ sent, total, bytesPerSecond }) {
  const percent = `${Math.floor((100 * sent) / total)} %`;
  if (!bytesPerSecond) return say("uploading_share", { percent });
  const speed = `${(bytesPerSecond / 1e6).toFixed(bytesPerSecond < 1e5 ? 2 : 1)} MB/s`;
  if (sent >= total) return say("uploading_speed", { percent, speed });
  return say("uploading_left", { percent, speed, left: left((total - sent) / bytesPerSecond) });
}
