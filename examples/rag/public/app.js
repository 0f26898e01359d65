// Uploads documents, asks, types the answer while the model writes it, and shows where it is from.
const documents = document.querySelector("#documents");
const drop = document.querySelector("#drop");
const files = document.querySelector("#files");
const progress = document.querySelector("#progress");
const form = document.querySelector("#ask");
const question = document.querySelector("#question");
const send = document.querySelector("#send");
const stop = document.querySelector("#stop");
const result = document.querySelector("#result");
const answer = document.querySelector("#answer");
const facts = document.querySelector("#facts");
const sources = document.querySelector("#sources");
const empty = document.querySelector("#empty");

/** Passages that the model reads; the other sources are shown only. */
const READ = 4;

/** Ends the answer that is being typed; undefined while none is. */
let stopAnswer;

function element(name, className, text = "") {
  const made = document.createElement(name);
  made.className = className;
  made.textContent = text;
  return made;
}

async function call(path, init) {
  const response = await fetch(path, init);
  if (!response.ok) throw new Error((await response.json()).error);
  return response;
}

function say(text, failed = false) {
  progress.textContent = text;
  progress.classList.toggle("failed", failed);
}

const size = (bytes) => (bytes < 1024 ? `${bytes} B` : `${Math.round(bytes / 1024)} KB`);

async function showDocuments() {
  const entries = await (await call("/api/documents")).json();
  documents.replaceChildren(
    ...entries.map(({ name, bytes, passages }) => {
      const entry = document.createElement("li");
      const link = element("a", "", name);
      link.href = `/api/documents/${encodeURIComponent(name)}`;
      const remove = element("button", "", "×");
      remove.type = "button";
      remove.ariaLabel = `Remove ${name}`;
      remove.addEventListener("click", () => void removeDocument(name));
      const about = `${passages} ${passages === 1 ? "passage" : "passages"}, ${size(bytes)}`;
      entry.append(link, element("small", "", about), remove);
      return entry;
    }),
  );
  empty.textContent = entries.length === 0 ? "Add a document on the left, then ask." : "Ask something.";
}

async function removeDocument(name) {
  try {
    await call(`/api/documents/${encodeURIComponent(name)}`, { method: "DELETE" });
    say(`${name} is removed.`);
  } catch (error) {
    say(error.message, true);
  }
  await showDocuments();
}

async function upload(chosen) {
  for (const file of chosen) {
    say(`Reading ${file.name} …`);
    const started = performance.now();
    try {
      const path = `/api/documents?name=${encodeURIComponent(file.name)}`;
      const [added] = await (await call(path, { method: "POST", body: file })).json();
      const seconds = ((performance.now() - started) / 1000).toFixed(1);
      say(`${added.passages} passages of ${added.name} embedded in ${seconds} s.`);
    } catch (error) {
      say(error.message, true);
      break;
    }
    await showDocuments();
  }
}

function showSources(found) {
  sources.replaceChildren(
    ...found.map((source, at) => {
      const entry = document.createElement("li");
      const title = element("h3", "", source.title);
      title.append(element("small", "", ` · ${source.document}`));
      const text = element("button", "text", source.text);
      text.type = "button";
      text.ariaExpanded = "false";
      text.addEventListener("click", () => {
        text.ariaExpanded = text.ariaExpanded === "true" ? "false" : "true";
      });
      entry.append(
        element("span", at < READ ? "number" : "number unread", String(at + 1)),
        title,
        score(source, at),
        text,
      );
      return entry;
    }),
  );
}

/** The reranker's score and where the passage was without it, or how near its vector is. */
function score({ score: reranked, near, nearest }, at) {
  if (reranked === null) return element("span", "score", `cosine ${near.toFixed(3)}`);
  const moved = nearest === at + 1 ? "as by vector" : `${ordinal(nearest)} by vector`;
  const shown = element("span", "score", `${reranked.toFixed(3)} · ${moved}`);
  shown.title = `cosine ${near.toFixed(3)}`;
  return shown;
}

/** 1st to 20th. */
function ordinal(place) {
  return `${place}${["th", "st", "nd", "rd"][place] ?? "th"}`;
}

/** The events of the body: {event, data}. */
async function* events(body) {
  let pending = "";
  for await (const text of body.pipeThrough(new TextDecoderStream())) {
    const parts = (pending + text).split("\n\n");
    pending = parts.pop();
    for (const part of parts) {
      const fields = Object.fromEntries(part.split("\n").map((line) => line.split(/: ?(.*)/s, 2)));
      yield { event: fields.event ?? "message", data: fields.data ?? "" };
    }
  }
}

async function ask(asked, rerank) {
  const controller = new AbortController();
  stopAnswer = () => controller.abort();
  send.hidden = true;
  stop.hidden = false;
  result.hidden = false;
  answer.textContent = facts.textContent = "";
  answer.classList.remove("failed");
  answer.classList.add("typing");
  sources.replaceChildren();
  const started = performance.now();
  const since = () => ((performance.now() - started) / 1000).toFixed(1);
  try {
    const response = await call("/api/ask", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ question: asked, rerank, stream: true }),
      signal: controller.signal,
    });
    let found = "";
    let done = false;
    for await (const { event, data } of events(response.body)) {
      if (event === "sources") {
        showSources(JSON.parse(data));
        found = since();
      } else if (data === "[DONE]") {
        done = true;
      } else {
        const { response: piece = "", error } = JSON.parse(data);
        if (error) throw new Error(error.message ?? error);
        answer.append(answer.textContent === "" ? piece.trimStart() : piece);
      }
    }
    if (!done) throw new Error("The answer broke off.");
    facts.textContent = `Sources ${rerank ? "found and reranked" : "found"} in ${found} s, answered in ${since()} s.`;
  } catch (error) {
    if (error.name === "AbortError") {
      facts.textContent = "Stopped.";
    } else {
      answer.classList.add("failed");
      answer.append(answer.textContent === "" ? error.message : `\n${error.message}`);
    }
  } finally {
    answer.classList.remove("typing");
    stopAnswer = undefined;
    send.hidden = false;
    stop.hidden = true;
  }
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const asked = question.value.trim();
  if (asked !== "" && !stopAnswer) void ask(asked, document.querySelector("#rerank").checked);
});

stop.addEventListener("click", () => stopAnswer?.());

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") stopAnswer?.();
  if (event.key === "/" && document.activeElement !== question) {
    event.preventDefault();
    question.focus();
  }
});

files.addEventListener("change", async () => {
  await upload([...files.files]);
  files.value = "";
});

for (const [type, over] of [
  ["dragenter", true],
  ["dragover", true],
  ["dragleave", false],
  ["drop", false],
]) {
  drop.addEventListener(type, (event) => {
    event.preventDefault();
    drop.classList.toggle("over", over);
    if (type === "drop") void upload([...event.dataTransfer.files]);
  });
}

await showDocuments();
