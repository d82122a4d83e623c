// Copies what the pages need from node_modules to service/web/static/vendor/: no build, no bundler.
import { existsSync } from "node:fs";
import { copyFile, mkdir, readFile, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const modules = join(here, "..", "..", "node_modules");
const target = join(here, "static", "vendor");

const wanted = [
  ["htmx.org", "dist/htmx.min.js"],
  ["tus-js-client", "dist/tus.min.js"],
  ["swagger-ui-dist", "swagger-ui-bundle.js"],
  ["swagger-ui-dist", "swagger-ui.css"],
  ["@fontsource-variable/source-sans-3", "files/source-sans-3-latin-wght-normal.woff2"],
  ["@fontsource-variable/source-sans-3", "files/source-sans-3-latin-wght-italic.woff2"],
  ["@fontsource-variable/source-serif-4", "files/source-serif-4-latin-wght-normal.woff2"],
  // The whole viewer in one module; a page loads it when somebody opens it.
  ["@niivue/niivue", "dist/index.js", "niivue.js"],
  // What PDFs are set in: their compiler reads no woff2.
  ["@expo-google-fonts/source-sans-3", "400Regular/SourceSans3_400Regular.ttf"],
  ["@expo-google-fonts/source-sans-3", "600SemiBold/SourceSans3_600SemiBold.ttf"],
  // Its Chinese letters, 10 MiB each: a PDF holds only those that it shows.
  ["@expo-google-fonts/noto-sans-sc", "400Regular/NotoSansSC_400Regular.ttf"],
  ["@expo-google-fonts/noto-sans-sc", "600SemiBold/NotoSansSC_600SemiBold.ttf"],
];
// Some packages have the licence of the font beside their own.
const licences = ["LICENSE", "LICENSE_FONT"];

// Of a package that brings none along: the one of its repository.
const missing = new Map([["@niivue/niivue", join(here, "licences", "niivue.LICENSE")]]);

await rm(target, { recursive: true, force: true });
await mkdir(target, { recursive: true });
for (const [name, file, called = basename(file)] of wanted) {
  await copyFile(join(modules, name, file), join(target, called));
}
for (const name of new Set(wanted.map(([name]) => name))) {
  // The licences travel with the files.
  const { version } = JSON.parse(await readFile(join(modules, name, "package.json"), "utf8"));
  const stem = `${name.replace(/^@/, "").replaceAll("/", "-")}-${version}`;
  if (missing.has(name)) await copyFile(missing.get(name), join(target, `${stem}.LICENSE`));
  for (const licence of licences.filter((file) => existsSync(join(modules, name, file)))) {
    await copyFile(join(modules, name, licence), join(target, `${stem}.${licence}`));
  }
}
console.log(`service/web/static/vendor: ${wanted.length} files`);
