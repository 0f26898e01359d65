#!/usr/bin/env node
// Writes cases.json: inputs that @cloudflare/workers-types lets a Worker pass to env.AI.run(), a valid value for each
// field of each model's input type, alone and together. A C++ test checks them against the catalogue's schemas, so that
// nothing the types allow is refused. `--check` writes nothing and exits 1 when cases.json would change.
//
// The types know no bounds and no dependence between fields, so values come from the tables below, and what the types
// let through but no service could answer (a message without a role) is kept as a case that must be refused.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";

const here = dirname(fileURLToPath(import.meta.url));
const kTypes = createRequire(import.meta.url).resolve("@cloudflare/workers-types/index.d.ts");
const { version } = JSON.parse(readFileSync(join(dirname(kTypes), "package.json"), "utf8"));

const kNumbers = {
  temperature: 0.5,
  top_p: 0.5,
  width: 512,
  height: 512,
  strength: 0.5,
  guidance: 5,
  num_steps: 4,
  steps: 4,
  log_prob_threshold: -1,
};
const kStrings = {
  role: "user",
  url: "data:image/png;base64,AAAA",
  audio: "UklGRg==",
  task: "transcribe",
  image: "data:image/png;base64,AAAA",
};
/** `type` where the types say only string: by the field that it stands in. */
const kKinds = { parameters: "object", response_format: "json_object", properties: "string", tools: "function" };
/** A part of a message has the member that its `type` names; the types make all of them optional. */
const kParts = ["text", "image_url", "input_audio", "file", "refusal"];
/** Of these, an input has one, whatever the types say. */
const kEither = ["prompt", "messages", "input", "requests"];

function stringAt(path) {
  const name = path.at(-1);
  if (name === "type") {
    const field = path.findLast((p) => p in kKinds);
    return field === undefined ? "x" : kKinds[field];
  }
  return kStrings[name] ?? "x";
}

const program = ts.createProgram([kTypes], {
  target: ts.ScriptTarget.ES2023,
  lib: ["lib.es2023.d.ts"],
  types: [],
  strict: true,
  skipLibCheck: true,
});
const checker = program.getTypeChecker();
const source = program.getSourceFile(kTypes);

const has = (type, flag) => (type.flags & flag) !== 0;

/** Members that say something: not undefined, not the optional nevers of an exclusive or. */
function members(type) {
  return checker
    .getPropertiesOfType(type)
    .map((symbol) => ({
      name: symbol.name,
      type: checker.getTypeOfSymbolAtLocation(symbol, source),
      optional: (symbol.flags & ts.SymbolFlags.Optional) !== 0,
    }))
    .filter((m) => values(m.type, [m.name], 0).length > 0);
}

function objectValues(type, path, depth) {
  const own = members(type);
  const index = checker.getIndexInfosOfType(type)[0];
  if (own.length === 0 && index !== undefined)
    return values(index.type, [...path, "key"], depth + 1).map((v) => ({ key: v }));
  const of = (name) => own.find((m) => m.name === name);
  const tags = kParts.filter((name) => of(name)?.optional);
  if (of("type") && !of("type").type.isStringLiteral() && tags.length > 0) {
    const whole = tags.flatMap((tag) =>
      values(of(tag).type, [...path, tag], depth + 1).map((v) => ({ type: tag, [tag]: v })),
    );
    return [...whole, ...tags.map((tag) => ({ type: tag })), ...(of("type").optional ? [{}] : [])];
  }
  if (of("role")?.optional && of("content")?.optional) {
    const sayable = own.map((m) => (m.name === "role" || m.name === "content" ? { ...m, optional: false } : m));
    return [...shapes(sayable, path, depth), {}, { role: "user" }, { content: "x" }];
  }
  const either = own.filter((m) => kEither.includes(m.name));
  if (either.length > 0 && own.every((m) => m.optional)) {
    return either.flatMap((one) =>
      shapes(
        own.filter((m) => m === one || !either.includes(m)).map((m) => (m === one ? { ...m, optional: false } : m)),
        path,
        depth,
      ),
    );
  }
  return shapes(own, path, depth);
}

/** The required members alone; with each value of each member; with all at once. */
function shapes(own, path, depth) {
  const valuesOf = (m) => values(m.type, [...path, m.name], depth + 1);
  const all = own.map((m) => ({ ...m, values: valuesOf(m) }));
  const least = Object.fromEntries(all.filter((m) => !m.optional).map((m) => [m.name, m.values[0]]));
  const each = all.flatMap((m) => m.values.slice(m.optional ? 0 : 1).map((v) => ({ ...least, [m.name]: v })));
  const most = Object.fromEntries(all.map((m) => [m.name, m.values[0]]));
  return [least, ...each, most];
}

function values(type, path, depth) {
  if (depth > 12) return ["x"];
  const name = path.at(-1);
  if (type.isUnion()) {
    const kinds = type.types.filter((t) => !has(t, ts.TypeFlags.BooleanLiteral));
    const out = kinds.flatMap((t) => values(t, path, depth));
    return kinds.length < type.types.length ? [...out, true] : out;
  }
  if (type.isStringLiteral() || type.isNumberLiteral()) return [type.value];
  if (has(type, ts.TypeFlags.BooleanLike)) return [true];
  if (has(type, ts.TypeFlags.String)) return [stringAt(path)];
  if (has(type, ts.TypeFlags.Number)) return [kNumbers[name] ?? 1];
  if (has(type, ts.TypeFlags.Null)) return [null];
  if (has(type, ts.TypeFlags.Undefined | ts.TypeFlags.Never | ts.TypeFlags.Void)) return [];
  if (has(type, ts.TypeFlags.Any | ts.TypeFlags.Unknown | ts.TypeFlags.NonPrimitive)) return [{}];
  if (type.isIntersection()) {
    // `string & NonNullable<unknown>`: any string, written so that editors still propose the literals beside it.
    const basic = type.types.find((t) => has(t, ts.TypeFlags.String | ts.TypeFlags.NonPrimitive));
    if (basic !== undefined) return values(basic, path, depth);
  }
  if (checker.isArrayType(type) || checker.isTupleType(type)) {
    return values(checker.getTypeArguments(type)[0], path, depth).map((v) => [v]);
  }
  return objectValues(type, path, depth);
}

/** Where no service could answer what the types let through; the path that the refusal must name. */
function refusedAt(id, input) {
  if (typeof input !== "object") return undefined;
  if (id === "@cf/baai/bge-reranker-base" && input.query === undefined) return "query"; // the types have lost the field
  const parts = (content, at) => {
    const list = Array.isArray(content) ? content : [content];
    const bad = list.findIndex(
      (p) => typeof p === "object" && p !== null && (p.type === undefined || p[p.type] === undefined),
    );
    const url = list.findIndex((p) => p?.image_url !== undefined && p.image_url.url === undefined);
    const sound = list.findIndex(
      (p) => p?.input_audio !== undefined && (p.input_audio.data === undefined || p.input_audio.format === undefined),
    );
    const found = [bad, url, sound].find((i) => i >= 0);
    if (found === undefined) return undefined;
    return Array.isArray(content) ? `${at}[${found}]` : at;
  };
  const messages = (from, at) => {
    for (const [i, m] of (from ?? []).entries()) {
      if (m.role === undefined) return `${at}messages[${i}].role`;
      if (m.content === undefined && m.tool_calls === undefined && m.function_call === undefined)
        return `${at}messages[${i}]`;
      const found = m.content === undefined ? undefined : parts(m.content, `${at}messages[${i}].content`);
      if (found !== undefined) return found;
    }
    return undefined;
  };
  const own = messages(input.messages, "");
  if (own !== undefined || !Array.isArray(input.requests)) return own;
  for (const [i, request] of input.requests.entries()) {
    const found = messages(request.messages, `requests[${i}].`);
    if (found !== undefined) return found;
  }
  return undefined;
}

const models = source.statements.find((s) => ts.isInterfaceDeclaration(s) && s.name.text === "AiModels");
const cases = new Map();
let ids = 0;
for (const member of models.members) {
  const id = member.name.text;
  const inputs = checker.getPropertyOfType(checker.getTypeAtLocation(member), "inputs");
  ids += 1;
  for (const input of values(checker.getTypeOfSymbolAtLocation(inputs, source), ["inputs"], 0)) {
    const refused = refusedAt(id, input);
    const key = JSON.stringify([input, refused]);
    if (!cases.has(key)) cases.set(key, { input, refused, ids: [] });
    if (!cases.get(key).ids.includes(id)) cases.get(key).ids.push(id);
  }
}

// Ids by number, so that a case is a short line.
const names = [...new Set([...cases.values()].flatMap((c) => c.ids))];
const groups = [...new Set([...cases.values()].map((c) => c.ids.map((id) => names.indexOf(id)).join(" ")))];
const line = (c) => {
  const of = groups.indexOf(c.ids.map((id) => names.indexOf(id)).join(" "));
  return `    ${JSON.stringify({ of, refused: c.refused, input: c.input })}`;
};
const text =
  `{\n  "source": "Made by cases.mjs from @cloudflare/workers-types ${version}: ${ids} ids, ${cases.size} inputs. Do not edit.",\n` +
  `  "ids": [\n${names.map((n) => `    ${JSON.stringify(n)}`).join(",\n")}\n  ],\n` +
  `  "groups": [\n${groups.map((g) => `    [${g.split(" ").join(", ")}]`).join(",\n")}\n  ],\n` +
  `  "cases": [\n${[...cases.values()].map(line).join(",\n")}\n  ]\n}\n`;
const file = join(here, "cases.json");
if ((existsSync(file) ? readFileSync(file, "utf8") : "") === text) process.exit(0);
if (process.argv.includes("--check")) {
  console.error(
    "tests/workers_types/cases.json differs from what cases.mjs makes of the installed types; run it and commit the result",
  );
  process.exit(1);
}
writeFileSync(file, text);
console.log(`wrote cases.json: ${ids} ids, ${cases.size} inputs, ${text.length} bytes`);
