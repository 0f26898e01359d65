export const MODEL = "@cf/meta/llama-3.1-8b-instruct";

const SYSTEM = "You are a friendly assistant. Answer in a few short sentences.";

export interface Question {
  text: string;
  /** The same seed gives the same answer. */
  seed?: number;
  maxTokens: number;
}

export interface Answer {
  text: string;
  promptTokens: number;
  completionTokens: number;
}

function inputs(question: Question) {
  return {
    messages: [
      { role: "system", content: SYSTEM },
      { role: "user", content: question.text },
    ],
    max_tokens: question.maxTokens,
    ...(question.seed === undefined ? {} : { seed: question.seed }),
  };
}

export async function ask(env: Env, question: Question): Promise<Answer> {
  const { response, usage } = (await env.AI.run(MODEL, inputs(question))) as AiTextGenerationOutput;
  const text = (response ?? "").trim();
  if (text === "") throw new Error("The model gave no answer.");
  return { text, promptTokens: usage?.prompt_tokens ?? 0, completionTokens: usage?.completion_tokens ?? 0 };
}

/** Server-sent events as the model writes: `data: {"response": "…"}`, at last `data: [DONE]`. */
export async function askStreaming(env: Env, question: Question): Promise<ReadableStream<Uint8Array>> {
  const stream = await env.AI.run(MODEL, { ...inputs(question), stream: true });
  if (!(stream instanceof ReadableStream)) throw new Error("The model gave no stream.");
  return stream;
}

/** Passes server-sent events on as they are, and hands over the whole text once the model has finished. */
export function recorder(finished: (text: string) => void): TransformStream<Uint8Array, Uint8Array> {
  const decoder = new TextDecoder();
  let pending = "";
  let text = "";
  return new TransformStream({
    transform(chunk, controller) {
      controller.enqueue(chunk);
      const lines = (pending + decoder.decode(chunk, { stream: true })).split("\n");
      pending = lines.pop() ?? "";
      for (const line of lines) {
        const data = line.startsWith("data: ") ? line.slice("data: ".length).trim() : "";
        if (data === "[DONE]") finished(text);
        else if (data !== "") text += (JSON.parse(data) as { response?: string }).response ?? "";
      }
    },
  });
}
