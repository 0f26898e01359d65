import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { FaultError, parse_fault, read_faults, to_wire } from "../src/faults.ts";
import { temporary_folder } from "./helpers.ts";

test("faults as they are written, and as the server takes them", () => {
  assert.deepEqual(
    to_wire([
      { fault: 3040, times: 2 },
      { fault: "slow", firstTokenMs: 5, betweenTokensMs: 1 },
    ]),
    [
      { fault: 3040, times: 2 },
      { fault: "slow", first_token_ms: 5, between_tokens_ms: 1 },
    ],
  );
  assert.deepEqual(parse_fault("3040"), { fault: 3040 });
  assert.deepEqual(parse_fault("cut,afterTokens=2,route=openai,model=@cf/a/b,every=3"), {
    fault: "cut",
    after_tokens: 2,
    route: "openai",
    model: "@cf/a/b",
    every: 3,
  });
});

test("what is no fault is said by name", () => {
  assert.throws(() => to_wire({}), /faults: a list of faults is expected/);
  assert.throws(() => to_wire([3]), /faults\[0\]: an object is expected/);
  assert.throws(() => to_wire([{ times: 1 }]), /faults\[0\]: what goes wrong is missing/);
  assert.throws(
    () => to_wire([{ fault: 3040, tiems: 1 }]),
    /a fault has no field tiems; there are fault, model, route/,
  );
  assert.throws(() => parse_fault("3040,tiems=1"), /--fault 3040,tiems=1: tiems=1 is no field of a fault/);
  assert.throws(() => parse_fault("3040,times"), FaultError);
});

test("a file of faults", () => {
  const folder = temporary_folder();
  const path = join(folder.path, "glia.faults.json");
  writeFileSync(path, '[{"fault": "empty", "after": 1}]');
  assert.deepEqual(read_faults(path), [{ fault: "empty", after: 1 }]);
  writeFileSync(path, "[{");
  assert.throws(() => read_faults(path), FaultError);
  assert.throws(() => read_faults(join(folder.path, "none")), /none: ENOENT/);
  folder.remove();
});
