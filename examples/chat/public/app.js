// Types the answer while the model writes it, read by EventSource or by fetch.
const talk = document.querySelector("#talk");
const form = document.querySelector("#ask");
const question = document.querySelector("#question");
const send = document.querySelector("#send");
const stop = document.querySelector("#stop");
const status = document.querySelector("#status");

/** Ends the answer that is being typed; undefined while none is. */
let stopAnswer;

function element(name, className, text = "") {
  const made = document.createElement(name);
  made.className = className;
  made.textContent = text;
  return made;
}

/** Adds a question with a place for its answer. */
function addTurn(asked, answer = "", facts = "") {
  const turn = document.createElement("li");
  const parts = {
    asked: element("p", "asked", asked),
    answer: element("p", "answer", answer),
    facts: element("p", "facts quiet", facts),
  };
  turn.append(parts.asked, parts.answer, parts.facts);
  talk.append(turn);
  return parts;
}

/** Reads by EventSource, which must be closed at [DONE]: it would ask again otherwise. */
function byEventSource(asked, onPiece, signal) {
  return new Promise((resolve, reject) => {
    const source = new EventSource(`/api/stream?${new URLSearchParams({ question: asked })}`);
    const end = (settle, value) => {
      source.close();
      settle(value);
    };
    signal.addEventListener("abort", () => end(reject, signal.reason));
    source.addEventListener("message", (event) => {
      if (event.data === "[DONE]") return end(resolve);
      const piece = JSON.parse(event.data);
      if (piece.error) end(reject, new Error(piece.error));
      else onPiece(piece);
    });
    source.addEventListener("error", () => end(reject, new Error("The answer broke off.")));
  });
}

/** Reads the same events from the body of a POST. */
async function byFetch(asked, onPiece, signal) {
  const response = await fetch("/api/stream", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ question: asked }),
    signal,
  });
  if (!response.ok) throw new Error((await response.json()).error);
  let pending = "";
  for await (const text of response.body.pipeThrough(new TextDecoderStream())) {
    const events = (pending + text).split("\n\n");
    pending = events.pop();
    for (const event of events) {
      const data = event.replace(/^data: /, "");
      if (data === "[DONE]") return;
      onPiece(JSON.parse(data));
    }
  }
  throw new Error("The answer broke off.");
}

async function answer(asked, by) {
  const turn = addTurn(asked);
  turn.answer.classList.add("typing");
  scrollToEnd();
  const controller = new AbortController();
  stopAnswer = () => controller.abort(new DOMException("stopped", "AbortError"));
  send.hidden = true;
  stop.hidden = false;
  const started = performance.now();
  let first;
  const onPiece = (event) => {
    const follow = atEnd();
    if (event.response) {
      first ??= performance.now() - started;
      turn.answer.append(turn.answer.textContent === "" ? event.response.trimStart() : event.response);
    }
    if (event.usage) {
      const seconds = (performance.now() - started) / 1000;
      turn.facts.textContent = `${event.usage.completion_tokens} tokens in ${seconds.toFixed(1)} s, the first after ${Math.round(first ?? 0)} ms`;
    }
    if (follow) scrollToEnd();
  };
  try {
    await (by === "fetch" ? byFetch : byEventSource)(asked, onPiece, controller.signal);
    status.textContent = "The answer is complete.";
  } catch (error) {
    if (error.name === "AbortError") {
      turn.facts.textContent = "stopped";
    } else {
      turn.answer.classList.add("failed");
      turn.answer.append(turn.answer.textContent === "" ? error.message : `\n${error.message}`);
    }
  } finally {
    turn.answer.classList.remove("typing");
    stopAnswer = undefined;
    send.hidden = false;
    stop.hidden = true;
    if (atEnd()) scrollToEnd();
    await showCount();
  }
}

/** The reader has not scrolled up to read something else. */
function atEnd() {
  return window.innerHeight + window.scrollY > document.documentElement.scrollHeight - 80;
}

function scrollToEnd() {
  window.scrollTo(0, document.documentElement.scrollHeight);
}

async function showCount() {
  const { count } = await (await fetch("/api/count")).json();
  document.querySelector("#count").textContent = count === 1 ? "1 question asked" : `${count} questions asked`;
}

async function showHistory() {
  const entries = await (await fetch("/api/history")).json();
  const fromPage = entries.filter((entry) => entry.source === "chat" || entry.source === "stream");
  for (const entry of fromPage.slice(0, 10).reverse()) addTurn(entry.question, entry.answer);
  scrollToEnd();
}

async function exportHistory() {
  const { url, name } = await (await fetch("/api/exports", { method: "POST" })).json();
  const link = Object.assign(document.createElement("a"), { href: url, download: name });
  link.click();
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const asked = question.value.trim();
  if (asked === "" || stopAnswer) return;
  question.value = "";
  void answer(asked, new FormData(form).get("by"));
});

question.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    form.requestSubmit();
  }
});

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") stopAnswer?.();
  if (event.key === "/" && document.activeElement !== question) {
    event.preventDefault();
    question.focus();
  }
});

stop.addEventListener("click", () => stopAnswer?.());
document.querySelector("#export").addEventListener("click", exportHistory);

await Promise.all([showHistory(), showCount()]);
