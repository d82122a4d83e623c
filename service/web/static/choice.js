// A chosen file: whether it may be a scan, in the words of the service's own refusals.
import { describe, inspect } from "./nifti.js";
import { readable, sentence } from "./words.js";

// What is wrong with a file, { detail, code }; null where it may be a scan.
function complaint(file, maxBytes) {
  if (!/\.nii(\.gz)?$/i.test(file.name)) {
    const code = /\.(hdr|img)(\.gz)?$/i.test(file.name) ? "nifti_pair" : "not_nifti";
    return { code, detail: "expected a file that ends in .nii or .nii.gz" };
  }
  if (file.size === 0) return { code: "empty_file", detail: "expected a scan, found an empty file" };
  if (file.size > maxBytes) {
    const detail = `expected at most ${readable(maxBytes)}, found ${readable(file.size)}`;
    return { code: "upload_too_large", detail };
  }
  return null;
}

// Gives { file, problem: { sentences, code } } or { file, words }; the words are empty where nothing could be read.
export async function look(file, { maxBytes, remedies }) {
  const known = complaint(file, maxBytes);
  const { problem = known, found } = known ? {} : await inspect(file);
  if (!problem) return { file, words: found ? describe(found) : "" };
  const remedy = remedies[problem.code];
  return { file, problem: { sentences: [sentence(problem.detail), ...(remedy ? [remedy] : [])], code: problem.code } };
}
