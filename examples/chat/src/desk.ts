import { DurableObject } from "cloudflare:workers";
import { ask } from "./ai";
import { remember } from "./history";

/** One object for all: counts the questions, and greets. */
export class Desk extends DurableObject<Env> {
  async count(): Promise<number> {
    return (await this.ctx.storage.get<number>("count")) ?? 0;
  }

  async increment(): Promise<number> {
    const count = (await this.count()) + 1;
    await this.ctx.storage.put("count", count);
    return count;
  }

  async greet(name: string, seed?: number): Promise<string> {
    const question = `Welcome a guest named ${name}.`;
    const { text } = await ask(this.env, { text: question, maxTokens: 48, ...(seed === undefined ? {} : { seed }) });
    await remember(this.env, "durable object", question, text);
    return text;
  }
}

export function desk(env: Env): DurableObjectStub<Desk> {
  return env.DESK.get(env.DESK.idFromName("desk"));
}
