import { CHAT } from "./models";
import type { Source } from "./search";

/** Passages that the chat model gets to read. */
export const READ = 4;

function inputs(question: string, sources: readonly Source[], seed: number | undefined) {
  const passages = sources.slice(0, READ).map(({ title, text }, at) => `[${at + 1}] ${title}: ${text}`);
  return {
    messages: [
      {
        role: "system",
        content:
          "Answer the question in one or two sentences from the passages, and name the passage by its number. " +
          `Say so when they do not hold the answer.\n\n${passages.join("\n\n")}`,
      },
      { role: "user", content: question },
    ],
    max_tokens: 160,
    ...(seed === undefined ? {} : { seed }),
  };
}

export async function answer(env: Env, question: string, sources: readonly Source[], seed?: number): Promise<string> {
  const { response } = (await env.AI.run(CHAT, inputs(question, sources, seed))) as AiTextGenerationOutput;
  const text = (response ?? "").trim();
  if (text === "") throw new Error("The model gave no answer.");
  return text;
}

/** Server-sent events: first `sources`, then the answer as the model writes it, at last `data: [DONE]`. */
export async function answer_streaming(
  env: Env,
  question: string,
  sources: readonly Source[],
  seed?: number,
): Promise<ReadableStream<Uint8Array>> {
  const written = await env.AI.run(CHAT, { ...inputs(question, sources, seed), stream: true });
  if (!(written instanceof ReadableStream)) throw new Error("The model gave no stream.");
  const first = new TextEncoder().encode(`event: sources\ndata: ${JSON.stringify(sources)}\n\n`);
  return (written as ReadableStream<Uint8Array>).pipeThrough(
    new TransformStream({ start: (controller) => controller.enqueue(first) }),
  );
}
