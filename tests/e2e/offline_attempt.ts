// Run inside the namespace: proves that attempts are counted.
import { attempts_outside } from "./offline_count.ts";

await fetch("http://192.0.2.7/").catch(() => undefined);
const by_address = attempts_outside();
await fetch("http://example.com/").catch(() => undefined);
if (attempts_outside() === by_address) throw new Error("a look-up of a name was not counted");
console.log(`attempts ${by_address}`);
