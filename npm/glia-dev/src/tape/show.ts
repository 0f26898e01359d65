// --show-io: what was asked and answered, as lines for the terminal. Nothing is kept.
import type { Call } from "./call.ts";

interface Usage {
  prompt_tokens?: number;
  completion_tokens?: number;
}

export function request_lines(call: Call): string[] {
  const inputs = call.dialect === "binding" ? (call.body as { inputs?: unknown } | null)?.inputs : call.body;
  const lines = [`→ ${call.model || call.route} (${call.dialect})`];
  const { messages, prompt, input, text } = (inputs ?? {}) as Record<string, unknown>;
  if (Array.isArray(messages)) {
    for (const message of messages as Array<{ role?: unknown; content?: unknown } | null>)
      lines.push(...indented(`${String(message?.role ?? "?")}: ${flat(message?.content)}`));
  } else {
    lines.push(...indented(flat(prompt ?? input ?? text ?? inputs)));
  }
  return lines;
}

export function answer_lines(call: Call, status: number, type: string, body: Buffer): string[] {
  const said = read_answer(type, body.toString("utf8"));
  const head = `← ${call.model || call.route}${status === 200 ? "" : ` (status ${status})`}`;
  if (said.text !== undefined) return [head, ...indented(said.text)];
  if (/json|text/.test(type)) return [head, ...indented(body.toString("utf8"))];
  return [`${head}: ${body.length} bytes of ${type || "no type"}`];
}

/** The text and the usage of an answer in any dialect, streamed or whole. */
export function read_answer(type: string, body: string): { text: string | undefined; usage: Usage | undefined } {
  const events = type.startsWith("text/event-stream")
    ? [...body.matchAll(/^data: ?(.*)$/gm)].map((match) => match[1]!)
    : [body];
  let text: string | undefined;
  let usage: Usage | undefined;
  for (const event of events) {
    let value: Record<string, unknown> | null;
    try {
      value = JSON.parse(event) as Record<string, unknown> | null;
    } catch {
      continue; // [DONE]
    }
    const result = (value?.["result"] ?? value) as Record<string, unknown> | null;
    const choice = (result?.["choices"] as Array<Record<string, unknown>> | undefined)?.[0];
    const part = (choice?.["delta"] ?? choice?.["message"] ?? choice) as Record<string, unknown> | undefined;
    const piece = result?.["response"] ?? part?.["content"] ?? part?.["text"];
    if (typeof piece === "string") text = (text ?? "") + piece;
    usage = (result?.["usage"] as Usage | null | undefined) ?? usage;
  }
  return { text, usage };
}

function flat(content: unknown): string {
  if (typeof content === "string") return content;
  if (Array.isArray(content) && content.every((part) => typeof (part as { text?: unknown } | null)?.text === "string"))
    return content.map((part) => (part as { text: string }).text).join("\n");
  return JSON.stringify(content) ?? "";
}

function indented(text: string): string[] {
  return text.split("\n").map((line) => `    ${line}`);
}
