import { WorkflowEntrypoint, type WorkflowEvent, type WorkflowStep } from "cloudflare:workers";
import { ask } from "./ai";
import { recall, remember } from "./history";

export interface DigestParams {
  seed?: number;
}

/** Reads the last answers, has the model say what they are about, keeps that. */
export class Digest extends WorkflowEntrypoint<Env, DigestParams> {
  override async run(
    event: Readonly<WorkflowEvent<DigestParams>>,
    step: WorkflowStep,
  ): Promise<{ digest: string; answers: number }> {
    const answers = await step.do("read the history", async () =>
      (await recall(this.env, 3)).map((entry) => entry.answer),
    );
    const text = `Say in one sentence what this text is about: ${answers.join(" ")}`;
    const digest = await step.do("sum it up", async () => {
      const { seed } = event.payload;
      return (await ask(this.env, { text, maxTokens: 64, ...(seed === undefined ? {} : { seed }) })).text;
    });
    await step.do("keep it", async () => remember(this.env, "workflow", text, digest));
    return { digest, answers: answers.length };
  }
}
