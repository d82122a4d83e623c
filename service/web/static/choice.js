// A chosen file: whether it may be a scan, in the words of the service's own refusals.
import { readable, remedy, say, sentence } from "./words.js";

// What is wrong with a file, { detail, code }; null where it may be a scan.
function complaint(file, maxBytes) {
  if (!/\.(nii(\.gz)?|zip)$/i.test(file.name)) {
    const code = /\.(hdr|img)(\.gz)?$/i.test(file.name) ? "nifti_pair" : "not_nifti";
    return { code, detail: say("wrong_ending") };
  }
  if (file.size === 0) return { code: "empty_file", detail: say("empty") };
  if (file.size > maxBytes) {
    const detail = say("too_large", { limit: readable(maxBytes), found: readable(file.size) });
    return { code: "upload_too_large", detail };
  }
  return null;
}

// Gives { file, problem: { sentences, code } } or { file, words }; the words are empty where nothing could be read.
export async function look(file, { maxBytes }) {
  const known = complaint(file, maxBytes);
  // The page is there sooner without what reads headers; where that cannot be had, the service is asked alone.
  const nifti = known ? null : await import("./nifti.js").catch(() => null);
  const { problem = known, found } = nifti ? await nifti.inspect(file) : {};
  if (!problem) return { file, words: found ? nifti.describe(found) : "" };
  const advice = remedy(problem);
  return { file, problem: { sentences: [sentence(problem.detail), ...(advice ? [advice] : [])], code: problem.code } };
}
