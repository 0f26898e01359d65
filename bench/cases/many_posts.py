"""Many clients of an embeddings server, on one thread: each has a connection and one request at a time. Their requests' bytes are made
beforehand and answers are read when all is over, so that the clients take little from the server."""
import base64
import json
import selectors
import socket
import time


def post(model, text):
    body = json.dumps({"model": model, "input": text, "encoding_format": "base64"}).encode()
    return (b"POST /v1/embeddings HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)) + body


def whole(answer):
    """Whether an answer is there to its end."""
    head, found, body = answer.partition(b"\r\n\r\n")
    if not found:
        return False
    return len(body) >= int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])


def ask(port, requests, clients):
    """Seconds for all requests, and their vectors [requests, width]. Errors: RuntimeError with an answer that is no 200."""
    import numpy as np
    poll, todo = selectors.DefaultSelector(), list(enumerate(requests))[::-1]
    answers, left = [b""] * len(requests), len(requests)

    def begin(connection):
        index, request = todo.pop()
        connection.sendall(request)
        poll.modify(connection, selectors.EVENT_READ, index)

    connections = []
    for _ in range(clients):
        connection = socket.create_connection(("127.0.0.1", port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        poll.register(connection, selectors.EVENT_READ, None)
        connections.append(connection)
    start = time.perf_counter()
    for connection in connections:
        begin(connection)
    while left:
        for key, _ in poll.select():
            more = key.fileobj.recv(1 << 16)
            answers[key.data] += more
            if not more:
                raise RuntimeError(f"the server hung up: {answers[key.data][:200]}")
            if whole(answers[key.data]):
                left -= 1
                if todo:
                    begin(key.fileobj)
    seconds = time.perf_counter() - start
    for connection in connections:
        connection.close()
    return seconds, np.stack([vector(answer) for answer in answers])


def vector(answer):
    import numpy as np
    head, _, body = answer.partition(b"\r\n\r\n")
    if b" 200 " not in head.split(b"\r\n")[0]:
        raise RuntimeError(f"{head[:100]} {body[:200]}")
    return np.frombuffer(base64.b64decode(json.loads(body)["data"][0]["embedding"]), np.float32)
