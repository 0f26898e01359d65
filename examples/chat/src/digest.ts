import { WorkflowEntrypoint, type WorkflowEvent, type WorkflowStep } from "cloudflare:workers";
import { ask } from "./ai";
import { recall, remember } from "./history";

export interface DigestParams {
  seed?: number;
}

/** Reads the last questions, has them summed up, keeps the result. */
export class Digest extends WorkflowEntrypoint<Env, DigestParams> {
  override async run(event: Readonly<WorkflowEvent<DigestParams>>, step: WorkflowStep): Promise<{ digest: string; questions: number }> {
    const questions = await step.do("read the history", async () => (await recall(this.env, 5)).map((entry) => entry.question));
    const text = `Sum up in one sentence what was asked: ${questions.join(" ")}`;
    const digest = await step.do("sum it up", async () => {
      const { seed } = event.payload;
      return (await ask(this.env, { text, maxTokens: 64, ...(seed === undefined ? {} : { seed }) })).text;
    });
    await step.do("keep it", async () => remember(this.env, "workflow", text, digest));
    return { digest, questions: questions.length };
  }
}
