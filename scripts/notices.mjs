#!/usr/bin/env node
// Prints the licences of everything that is linked into glia: Debian's libraries, the sources that scripts/bootstrap fetched, and
// the Rust crates by Cargo.lock. Equal texts are printed once. Usage: scripts/notices.mjs >THIRD_PARTY_NOTICES
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, readdirSync, realpathSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");

/** What of Debian's packages is linked as an archive or compiled in from headers. */
const kDebian = [
  ["Boost", "libboost-json1.81-dev"],
  ["spdlog", "libspdlog-dev"],
  ["fmt", "libfmt-dev"],
  ["CLI11", "libcli11-dev"],
  ["toml++", "libtomlplusplus-dev"],
  ["OpenSSL", "libssl-dev"],
  ["The C++ standard library (GCC Runtime Library Exception)", "libstdc++-12-dev"],
];

const sections = [];
function add(title, licence, text) {
  sections.push({ title: licence ? `${title} (${licence})` : title, text: text.replaceAll("\r", "").trimEnd() });
}

for (const [name, pkg] of kDebian) {
  const file = join("/usr/share/doc", pkg, "copyright");
  if (!existsSync(file)) throw new Error(`${file} is missing: is the package ${pkg} installed?`);
  const version = execFileSync("dpkg-query", ["-W", "-f=${Version}", pkg], { encoding: "utf8" });
  let text = readFileSync(realpathSync(file), "utf8");
  // Debian's file speaks of every file of all of Boost, documents and build tools too; the libraries have one licence.
  if (name === "Boost") text = /^ *Boost Software License - Version 1\.0[^]*?DEALINGS IN THE SOFTWARE\./m.exec(text)[0];
  add(`${name}, Debian package ${pkg} ${version}`, "", text);
}
add("prometheus-cpp, core", "MIT", readFileSync(join(root, ".toolchain/prometheus-cpp/LICENSE"), "utf8"));
const curl_version = readFileSync(join(root, ".toolchain/curl/version"), "utf8").trim();
add(`libcurl ${curl_version}`, "curl", readFileSync(join(root, ".toolchain/curl/COPYING"), "utf8"));
add("SQLite", "public domain", "The author disclaims copyright to this source code.");

const metadata = JSON.parse(
  execFileSync(
    "cargo",
    [
      "metadata",
      "--locked",
      "--offline",
      "--format-version",
      "1",
      "--filter-platform",
      "x86_64-unknown-linux-gnu",
      "--manifest-path",
      join(root, "rust/text/Cargo.toml"),
    ],
    { encoding: "utf8", maxBuffer: 64 << 20 },
  ),
);
const packages = new Map(metadata.packages.map((p) => [p.id, p]));
const nodes = new Map(metadata.resolve.nodes.map((n) => [n.id, n]));
/** Crates whose code is in the library: not those that only build it, nor macros. */
const linked = new Set();
(function visit(id) {
  if (linked.has(id) || packages.get(id).targets.every((t) => t.kind.includes("proc-macro"))) return;
  linked.add(id);
  for (const dep of nodes.get(id).deps) {
    if (dep.dep_kinds.some((kind) => kind.kind === null)) visit(dep.pkg);
  }
})(metadata.resolve.root);
linked.delete(metadata.resolve.root);

for (const crate of [...linked].map((id) => packages.get(id)).sort((a, b) => a.name.localeCompare(b.name))) {
  const folder = dirname(crate.manifest_path);
  const files = readdirSync(folder).filter((name) => /^(licen[cs]e|copying|notice|unlicense)/i.test(name));
  if (files.length === 0) throw new Error(`crate ${crate.name} carries no licence text`);
  // One text is enough where several are offered; the permissive one with the copyright line first.
  const wanted =
    files.find((name) => /mit/i.test(name)) ?? files.find((name) => /apache/i.test(name)) ?? files.sort()[0];
  const also = files.filter((name) => /notice|unicode/i.test(name));
  const text = [wanted, ...also].map((name) => readFileSync(join(folder, name), "utf8").trimEnd()).join("\n\n");
  add(`${crate.name} ${crate.version}, Rust crate`, crate.license, text);
}
// Oniguruma's own licence lies inside its bindings.
const onig = [...linked].map((id) => packages.get(id)).find((p) => p.name === "onig_sys");
if (onig) {
  const copying = join(dirname(onig.manifest_path), "oniguruma/COPYING");
  add("Oniguruma", "BSD-2-Clause", readFileSync(copying, "utf8"));
}

const by_text = new Map();
for (const { title, text } of sections) by_text.set(text, [...(by_text.get(text) ?? []), title]);
const line = "=".repeat(100);
process.stdout.write("glia contains code of these projects, each under its own licence.\n");
for (const [text, titles] of by_text) process.stdout.write(`\n${line}\n${titles.join("\n")}\n${line}\n\n${text}\n`);
