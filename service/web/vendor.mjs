// Copies what the pages need from node_modules to service/web/static/vendor/: no build, no bundler.
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
];

await rm(target, { recursive: true, force: true });
await mkdir(target, { recursive: true });
for (const [name, file] of wanted) {
  await copyFile(join(modules, name, file), join(target, basename(file)));
}
for (const name of new Set(wanted.map(([name]) => name))) {
  // The licences travel with the files.
  const { version } = JSON.parse(await readFile(join(modules, name, "package.json"), "utf8"));
  const licence = `${name.replace(/^@/, "").replaceAll("/", "-")}-${version}.LICENSE`;
  await copyFile(join(modules, name, "LICENSE"), join(target, licence));
}
console.log(`service/web/static/vendor: ${wanted.length} files`);
