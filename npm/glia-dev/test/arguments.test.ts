import assert from "node:assert/strict";
import { test } from "node:test";
import { parse_arguments, UsageError } from "../src/arguments.ts";

test("what the session asks of the server", () => {
  const parsed = parse_arguments(["--plan", "free", "--port", "1", "--rate-limits"], {});
  assert.deepEqual(parsed.session, { plan: "free", rate_limits: true });
  assert.deepEqual(parsed.wrangler, ["--port", "1"]);
  assert.deepEqual(parse_arguments(["--plan=paid"], {}).session, { plan: "paid" });
  for (const wrong of [["--plan"], ["--plan=gold"], ["--plan", ""]]) {
    assert.throws(() => parse_arguments(wrong, {}), /--plan is `paid` or `free`/);
  }
});

test("wrangler's flags pass through untouched, ours do not", () => {
  const parsed = parse_arguments(["--port", "9000", "--glia-port", "7900", "--env=staging", "src/index.ts"], {});
  assert.deepEqual(parsed.wrangler, ["--port", "9000", "--env=staging", "src/index.ts"]);
  assert.equal(parsed.url.href, "http://127.0.0.1:7900/");
  assert.equal(parsed.urlGiven, false);
});

test("a command after -- is kept word for word", () => {
  const parsed = parse_arguments(["--glia-port=7900", "--", "vite", "--port", "1", "--glia-port", "2"], {});
  assert.deepEqual(parsed.command, ["vite", "--port", "1", "--glia-port", "2"]);
  assert.equal(parsed.url.port, "7900");
});

test("flag over environment over default", () => {
  assert.equal(parse_arguments([], {}).url.href, "http://127.0.0.1:7843/");
  const from_environment = parse_arguments([], { GLIA_URL: "http://127.0.0.1:1234" });
  assert.equal(from_environment.url.port, "1234");
  assert.equal(from_environment.urlGiven, true);
  assert.equal(parse_arguments(["--glia-url", "http://127.0.0.1:5"], { GLIA_URL: "http://127.0.0.1:6" }).url.port, "5");
  assert.equal(parse_arguments([], { GLIA_PORT: "7" }).url.port, "7");
  assert.equal(parse_arguments(["--glia-port", "5"], { GLIA_URL: "http://127.0.0.1:6" }).url.port, "5");
});

test("mistakes are named", () => {
  const wrong: Array<[string[], RegExp]> = [
    [["--glia-port"], /--glia-port needs a value/],
    [["--glia-port", "x"], /1 to 65535/],
    [["--glia-port", "70000"], /1 to 65535/],
    [["--glia-url", "nonsense"], /not a URL/],
    [["--glia-url", "ftp://x"], /only http/],
    [["--glia-url", "http://x", "--glia-port", "1"], /exclude each other/],
    [["--glia-profile"], /no flag --glia-profile/],
    [["--"], /nothing follows/],
    [["--port", "1", "--", "vite"], /stands before/],
  ];
  for (const [argv, message] of wrong) {
    assert.throws(
      () => parse_arguments(argv, {}),
      (error) => error instanceof UsageError && message.test(error.message),
      argv.join(" "),
    );
  }
});
