// Builds dist/ from src/: node build.mjs. With --check it compares with dist/ instead and exits 1 when
// they differ. Compressed bytes depend on zlib's version, so what is compared is what they hold.
import {build} from "esbuild";
import {mkdirSync, readFileSync, writeFileSync} from "node:fs";
import {gunzipSync, gzipSync} from "node:zlib";

const here = new URL(".", import.meta.url).pathname;
const bundled = await build({
  absWorkingDir: here,
  entryPoints: {app: "src/main.tsx"},
  bundle: true,
  minify: true,
  format: "esm",
  target: ["es2020", "chrome100", "firefox100", "safari15"],
  jsx: "automatic",
  jsxImportSource: "preact",
  legalComments: "eof",
  outdir: "dist",
  write: false,
});
const files = new Map([
  ["index.html", readFileSync(here + "src/index.html")],
  ["icon.svg", readFileSync(here + "src/icon.svg")],
]);
for (const file of bundled.outputFiles) {
  files.set(file.path.slice(file.path.lastIndexOf("/") + 1), Buffer.from(file.contents));
}

const check = process.argv.includes("--check");
let total = 0;
let differ = 0;
mkdirSync(here + "dist", {recursive: true});
for (const [name, bytes] of [...files].sort()) {
  const path = `${here}dist/${name}.gz`;
  if (check) {
    let kept = null;
    try {
      kept = gunzipSync(readFileSync(path));
    } catch (error) {
      console.error(`${path}: ${error.message}`);
    }
    if (kept === null || !kept.equals(bytes)) {
      console.error(`dist/${name}.gz is not what src/ builds; run: npm run build`);
      differ += 1;
    }
    continue;
  }
  const packed = gzipSync(bytes, {level: 9});
  packed[9] = 255; // the system's name in gzip's header: any
  total += packed.length;
  writeFileSync(path, packed);
  console.log(`${name}: ${bytes.length} bytes, ${packed.length} compressed`);
}
if (check) {
  console.log(differ === 0 ? "dist/ is what src/ builds" : `${differ} files differ`);
  process.exit(differ === 0 ? 0 : 1);
}
console.log(`first load: ${total} bytes`);
