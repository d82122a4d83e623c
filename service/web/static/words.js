// How sizes, speeds and sentences are written.

// In the units that the page writes its limit in: 1 GiB is 1024 MiB.
export function readable(bytes) {
  if (bytes < 1024) return `${bytes} bytes`;
  const units = ["KiB", "MiB", "GiB"];
  let value = bytes / 1024;
  while (value >= 1024 && units.length > 1) {
    value /= 1024;
    units.shift();
  }
  return `${value.toFixed(1).replace(/\.0$/, "")} ${units[0]}`;
}

export function sentence(text) {
  return `${text.charAt(0).toUpperCase()}${text.slice(1).replace(/\.$/, "")}.`;
}

function left(seconds) {
  return seconds < 90 ? `${Math.max(Math.ceil(seconds), 1)} s left` : `${Math.ceil(seconds / 60)} min left`;
}

// "43 %, 2.1 MB/s, 20 s left"; the latter two once something can be said of them.
export function figures({ sent, total, bytesPerSecond }) {
  const percent = `${Math.floor((100 * sent) / total)} %`;
  if (!bytesPerSecond) return percent;
  const speed = `${(bytesPerSecond / 1e6).toFixed(bytesPerSecond < 1e5 ? 2 : 1)} MB/s`;
  return sent < total ? `${percent}, ${speed}, ${left((total - sent) / bytesPerSecond)}` : `${percent}, ${speed}`;
}
