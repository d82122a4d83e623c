// Reads the first bytes of a file as the service would, and says what is wrong or what it found. Where that cannot
// be told here, nothing is said and the file is sent: the service has the last word.
// Words, order and limits are those of imaging/header.py and its neighbours; tests/browser holds the two together.
import { called, say } from "./words.js";

const HEADER_BYTES = { 1: 348, 2: 540 };
const READ_BYTES = 64 * 1024;
const MINIMUM_FRAMES = 20;
const TR_S = { minimum: 0.1, maximum: 6.25 };
const REAL = new Set([2, 4, 8, 16, 64, 256, 512, 768, 1024, 1280]);
const COMPLEX = { 32: "complex64", 1792: "complex128", 2048: "complex256" };
const COLOUR = { 128: "RGB24", 2304: "RGBA32" };
const SECONDS = { 8: 1, 16: 1e-3, 24: 1e-6 };
const UNITS = { 0: "none", 8: "s", 16: "ms", 24: "us", 32: "Hz", 40: "ppm", 48: "rad/s" };
const SIGNATURES = [
  [128, "DICM", "dicom"],
  [0, "\x89PNG", "png"],
  [0, "\xff\xd8\xff", "jpeg"],
  [0, "II*\0", "tiff"],
  [0, "MM\0*", "tiff"],
  [0, "PK\x03\x04", "zip"],
  [0, "7z\xbc\xaf\x27\x1c", "7z"],
  [257, "ustar", "tar"],
  [0, "\x1f\x8b", "twice"],
  [0, "BZh", "bzip2"],
  [0, "\xfd7zXZ", "xz"],
  [0, "\x28\xb5\x2f\xfd", "zstd"],
  [0, "\x89HDF", "hdf5"],
  [0, "CDF", "netcdf"],
  [0, "NRRD", "nrrd"],
  [0, "MATLAB", "matlab"],
  [0, "%PDF", "pdf"],
];
const MGH_TYPES = new Set([0, 1, 3, 4, 10]);

class Defect extends Error {
  constructor(code, found = {}) {
    super(say(code, found));
    this.code = code;
  }
}

// What is known of a file: { problem: { code, detail } }, or { found: { size, frames, trSeconds } }, or neither.
export async function inspect(file) {
  // What is in a zip is found by the service alone.
  if (await isZip(file)) return {};
  try {
    return { found: read(await firstBytes(file)) };
  } catch (error) {
    return error instanceof Defect ? { problem: { code: error.code, detail: error.message } } : {};
  }
}

async function isZip(file) {
  const head = textAt(new Uint8Array(await file.slice(0, 4).arrayBuffer()), 0, 4);
  return head === "PK\x03\x04" || head === "PK\x05\x06";
}

export function describe({ size, frames, trSeconds }) {
  return say("scan", { size: size.join(" × "), frames, tr: trSeconds.toFixed(2).replace(/0$/, "") });
}

async function firstBytes(file) {
  const slice = file.slice(0, READ_BYTES);
  const stored = new Uint8Array(await slice.arrayBuffer());
  if (stored[0] !== 0x1f || stored[1] !== 0x8b) return stored;
  const reader = slice.stream().pipeThrough(new DecompressionStream("gzip")).getReader();
  const bytes = new Uint8Array(HEADER_BYTES[2]);
  let filled = 0;
  while (filled < bytes.length) {
    const { value, done } = await reader.read();
    if (done) return bytes.subarray(0, filled);
    const piece = value.subarray(0, bytes.length - filled);
    bytes.set(piece, filled);
    filled += piece.length;
  }
  // The rest of the slice is cut somewhere, and nobody wants to know.
  reader.cancel().catch(() => {});
  return bytes;
}

function read(bytes) {
  const { version, little } = recognise(bytes);
  const needed = HEADER_BYTES[version];
  if (bytes.length < needed) {
    throw new Defect("data_incomplete", { part: called("values", "header"), expected_bytes: needed, found_bytes: bytes.length });
  }
  const fields = version === 1 ? fieldsOf1(bytes, little) : fieldsOf2(bytes, little);
  if (fields.intent >= 3000 && fields.intent < 3100) {
    throw new Defect("cifti");
  }
  requireRealNumbers(fields.datatype);
  const axes = fourAxes(fields.dim);
  if (axes[3] < MINIMUM_FRAMES) {
    throw new Defect("too_few_frames", { expected: MINIMUM_FRAMES, found: axes[3] });
  }
  // Another defect comes before these; the service names it.
  if (!fields.pixdim.every(Number.isFinite)) throw new Error("cannot be told");
  return { size: axes.slice(0, 3), frames: axes[3], trSeconds: repetitionTime(fields.pixdim[4], fields.units) };
}

function viewOf(bytes) {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function recognise(bytes) {
  const view = viewOf(bytes);
  let layout = null;
  for (const little of [true, false]) {
    const size = bytes.length >= 4 ? view.getUint32(0, little) : 0;
    for (const version of [1, 2]) {
      if (layout === null && size === HEADER_BYTES[version]) layout = { version, little };
    }
  }
  if (layout === null) throw new Defect("not_nifti", { found: called("kinds", kindOf(bytes)) });
  const magic = layout.version === 1 ? textAt(bytes, 344, 4) : textAt(bytes, 4, 8);
  if (magic === (layout.version === 1 ? "ni1\0" : "ni2\0\r\n\x1a\n")) {
    throw new Defect("nifti_pair");
  }
  if (layout.version === 1 && magic === "\0\0\0\0") {
    throw new Defect("analyze_format");
  }
  if (bytes.length >= HEADER_BYTES[1] && magic !== (layout.version === 1 ? "n+1\0" : "n+2\0\r\n\x1a\n")) {
    throw new Error("cannot be told");
  }
  return layout;
}

function kindOf(bytes) {
  for (const [offset, signature, name] of SIGNATURES) {
    if (textAt(bytes, offset, signature.length) === signature) return name;
  }
  const view = viewOf(bytes);
  if (bytes.length >= 24 && view.getUint32(0) === 1 && MGH_TYPES.has(view.getUint32(20))) {
    return "mgh";
  }
  if (isText(bytes.subarray(0, HEADER_BYTES[1]))) return "text";
  return "unknown";
}

function textAt(bytes, offset, length) {
  return String.fromCharCode(...bytes.subarray(offset, offset + length));
}

function isText(bytes) {
  try {
    // As a stream, because the bytes that we have may end inside a character.
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes, { stream: true });
    return /^(?:[^\p{C}\p{Z}]|[ \t\r\n\f\ufeff])*$/u.test(text);
  } catch {
    return false;
  }
}

// The NIfTI-1 standard's offsets.
function fieldsOf1(bytes, little) {
  const view = viewOf(bytes);
  return {
    intent: view.getInt16(68, little),
    datatype: view.getInt16(70, little),
    dim: Array.from({ length: 8 }, (_, axis) => view.getInt16(40 + 2 * axis, little)),
    pixdim: Array.from({ length: 5 }, (_, axis) => view.getFloat32(76 + 4 * axis, little)),
    units: view.getUint8(123),
  };
}

// The NIfTI-2 standard's.
function fieldsOf2(bytes, little) {
  const view = viewOf(bytes);
  return {
    intent: view.getInt32(504, little),
    datatype: view.getInt16(12, little),
    dim: Array.from({ length: 8 }, (_, axis) => Number(view.getBigInt64(16 + 8 * axis, little))),
    pixdim: Array.from({ length: 5 }, (_, axis) => view.getFloat64(104 + 8 * axis, little)),
    units: view.getInt32(500, little),
  };
}

function requireRealNumbers(datatype) {
  if (datatype in COMPLEX) {
    throw new Defect("complex_data", { found: COMPLEX[datatype] });
  }
  if (datatype in COLOUR) {
    throw new Defect("colour_data", { found: COLOUR[datatype] });
  }
  if (!REAL.has(datatype)) {
    throw new Defect("unknown_data_type", { found: datatype });
  }
}

function fourAxes(dim) {
  const said = dim.slice(1, dim[0] + 1);
  if (dim[0] < 1 || dim[0] > 7 || said.some((length) => length < 1)) {
    requireExact(dim);
    throw new Defect("bad_dimensions", { found: dim.join(", ") });
  }
  requireExact(said);
  const axes = [...said];
  while (axes.length > 1 && axes.at(-1) === 1) axes.pop();
  if (axes.length !== 4) {
    throw new Defect("not_four_dimensional", { axes: said.length, found: said.join(" x ") });
  }
  return axes;
}

// Larger numbers than these would be written otherwise than the service writes them.
function requireExact(numbers) {
  if (!numbers.every(Number.isSafeInteger)) throw new Error("cannot be told");
}

function repetitionTime(value, units) {
  if (value === 0) throw new Defect("missing_repetition_time");
  const code = units & 0x38;
  const candidates = code === 0 ? [1, 1e-3] : code in SECONDS ? [SECONDS[code]] : [];
  for (const seconds of candidates) {
    const trSeconds = Number((value * seconds).toPrecision(7));
    if (trSeconds >= TR_S.minimum && trSeconds <= TR_S.maximum) return trSeconds;
  }
  const unit = code in UNITS ? called("units", UNITS[code]) : say("unit_code", { code });
  throw new Defect("implausible_repetition_time", { ...TR_S, value: general(value), unit });
}

// Six digits, as Python's format "g" writes them.
function general(value) {
  const [digits, exponent] = value.toExponential(5).split("e").map(Number);
  if (exponent >= -4 && exponent < 6) return String(Number(value.toPrecision(6)));
  return `${digits}e${exponent < 0 ? "-" : "+"}${String(Math.abs(exponent)).padStart(2, "0")}`;
}
