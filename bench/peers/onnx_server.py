"""A Python server of /v1/embeddings on onnxruntime, as fast as we could make one: asyncio without a framework, the tokenizers library,
and batches of whatever waits, sorted by length, in a thread of their own (onnxruntime lets go of the interpreter's lock).
usage: onnx_server.py MODEL.onnx TOKENIZER.json THREADS [BATCH_TOKENS]   (prints the port; padded tokens of a batch at most)"""
import asyncio
import base64
import json
import sys
import threading
from concurrent.futures import Future
from queue import SimpleQueue

import numpy as np
import onnxruntime as ort
from tokenizers import Tokenizer

model, tokenizer_file, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])
batch_tokens = int(sys.argv[4]) if len(sys.argv) > 4 else 4096
options = ort.SessionOptions()
options.intra_op_num_threads = threads
options.inter_op_num_threads = 1
options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # the event loop needs the cores too
session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
tokenizer = Tokenizer.from_file(tokenizer_file)
tokenizer.no_padding()
tokenizer.enable_truncation(256)
waiting = SimpleQueue()


def batches(jobs):
    """Jobs of similar length together, each batch's padded size bounded."""
    batch = []
    for job in sorted(jobs, key=lambda j: len(j[0])):
        if batch and len(job[0]) * (len(batch) + 1) > batch_tokens:
            yield batch
            batch = []
        batch.append(job)
    yield batch


def encode(batch):
    ids = np.zeros((len(batch), max(len(job[0]) for job in batch)), np.int32)
    mask = np.zeros_like(ids)
    for i, (tokens, _) in enumerate(batch):
        ids[i, :len(tokens)], mask[i, :len(tokens)] = tokens, 1
    for (_, done), vector in zip(batch, session.run(["vectors"], {"ids": ids, "mask": mask})[0]):
        done.set_result(vector)


def work():
    while True:
        jobs = [waiting.get()]
        while not waiting.empty():
            jobs.append(waiting.get())
        for batch in batches(jobs):
            encode(batch)


async def embed(body):
    asked = json.loads(body)
    texts = asked["input"] if isinstance(asked["input"], list) else [asked["input"]]
    encoded = [tokenizer.encode(text).ids for text in texts]
    done = [Future() for _ in encoded]
    for job in zip(encoded, done):
        waiting.put(job)
    vectors = [await asyncio.wrap_future(d) for d in done]
    as_text = asked.get("encoding_format") == "base64"
    data = [{"object": "embedding", "index": i, "embedding": base64.b64encode(v.tobytes()).decode() if as_text else v.tolist()}
            for i, v in enumerate(vectors)]
    tokens = sum(map(len, encoded))
    return json.dumps({"object": "list", "data": data, "model": asked["model"],
                       "usage": {"prompt_tokens": tokens, "total_tokens": tokens}}).encode()


async def serve(reader, writer):
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            answer = await embed(await reader.readexactly(length))
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(answer) + answer)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


threading.Thread(target=work, daemon=True).start()
asyncio.run(main())
