// How often the passage that answers is found, with and without the reranker, through a running Worker (npx glia-dev):
//
//   node scripts/measure.mjs [http://localhost:8787] [--set tune|report|all] [--json]
//
// corpus/README.md says what the questions are. The corpus is uploaded first; other documents should not be there.
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";

const CORPUS = new URL("../corpus/", import.meta.url);
const DOCUMENTS = ["elements.md", "jargon.md"];
const AT_ONCE = 4;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { set: { type: "string", default: "report" }, json: { type: "boolean", default: false } },
});
const worker = positionals[0] ?? "http://localhost:8787";

async function call(path, init) {
  const response = await fetch(new URL(path, worker), init);
  const body = await response.json();
  if (!response.ok) throw new Error(`${path}: ${body.error}`);
  return body;
}

async function upload() {
  let passages = 0;
  for (const name of DOCUMENTS) {
    const body = readFileSync(new URL(name, CORPUS));
    const [added] = await call(`/api/documents?name=${name}`, { method: "POST", body });
    passages += added.passages;
  }
  // Vectorize takes its time to show what it has taken.
  for (const end = Date.now() + 60_000; ; await new Promise((resolve) => setTimeout(resolve, 100))) {
    const { vectorCount } = await call("/api/index");
    if (vectorCount >= passages) return passages;
    if (Date.now() > end) throw new Error(`only ${vectorCount} of ${passages} vectors are there after a minute`);
  }
}

/** 1/rank of the passage that answers, 0 beyond the fifth; for each question. */
async function ranks(questions, rerank) {
  const found = new Array(questions.length);
  let next = 0;
  const ask = async () => {
    for (let at = next++; at < questions.length; at = next++) {
      const { question, passage } = questions[at];
      const sources = await call("/api/search", {
        method: "POST",
        body: JSON.stringify({ question, rerank, most: 5 }),
      });
      const place = sources.findIndex(({ document, title }) => `${document}#${title}` === passage);
      found[at] = place < 0 ? 0 : 1 / (place + 1);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, ask));
  return found;
}

function figures(questions, found) {
  const mean = (all) => Number((all.reduce((sum, value) => sum + value, 0) / all.length).toFixed(4));
  const of = (all) => ({ recall: mean(all.map((value) => (value > 0 ? 1 : 0))), mrr: mean(all) });
  return { ...of(found), hard: of(found.filter((_, at) => questions[at].hard)) };
}

const all = JSON.parse(readFileSync(new URL("questions.json", CORPUS), "utf8"));
const questions = all.filter(({ set }) => values.set === "all" || set === values.set);
if (questions.length === 0) throw new Error(`no question is in the set ${values.set}`);
const passages = await upload();
const result = { passages, questions: questions.length };
for (const [name, rerank] of [
  ["vectors", false],
  ["reranked", true],
]) {
  const started = performance.now();
  result[name] = figures(questions, await ranks(questions, rerank));
  result[name].ms = Number(((performance.now() - started) / questions.length).toFixed(1));
}
if (values.json) {
  console.log(JSON.stringify(result));
} else {
  console.log(`${passages} passages, ${questions.length} questions (${values.set})`);
  for (const name of ["vectors", "reranked"]) {
    const { recall, mrr, hard, ms } = result[name];
    console.log(
      `${name.padEnd(9)} recall@5 ${recall.toFixed(3)}  MRR@5 ${mrr.toFixed(3)}` +
        `  hard ones ${hard.recall.toFixed(3)} ${hard.mrr.toFixed(3)}  ${ms} ms a question`,
    );
  }
}
