"""A server on this machine that speaks as much of OpenAI's protocol as the remote engine uses."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def completion(text, top=()):
    pieces = [text[at : at + 3] for at in range(0, len(text), 3)]
    content = [
        {
            "token": piece,
            "logprob": -0.25,
            "bytes": None,
            "top_logprobs": [{"token": t, "logprob": w, "bytes": None} for t, w in top],
        }
        for piece in pieces
    ]
    return {
        "id": "1",
        "object": "chat.completion",
        "created": 0,
        "model": "served",
        "choices": [
            {
                "index": 0,
                "finish_reason": "stop",
                "message": {"role": "assistant", "content": text},
                "logprobs": {"content": content},
            }
        ],
        "usage": {"prompt_tokens": 7, "completion_tokens": len(pieces), "total_tokens": 7 + len(pieces)},
    }


class Server:
    """Answers as `behave(request body, how often it was asked the same)` says: status and body.

    Where the body is a function, it is given the handler and writes whatever it likes.
    """

    def __init__(self, behave):
        self.behave = behave
        self.requests, self.keys, self.at_once, self.most = [], set(), 0, 0
        server, lock = self, threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with lock:
                    server.requests.append(body)
                    server.keys.add(self.headers["Authorization"])
                    server.at_once += 1
                    server.most = max(server.most, server.at_once)
                    seen = sum(each["messages"] == body["messages"] for each in server.requests)
                status, answer = server.behave(body, seen)
                with lock:
                    server.at_once -= 1
                try:
                    if callable(answer):
                        answer(self)
                        return
                    raw = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                    self.send_response(status)
                    self.send_header("Content-Type", "application/json")
                    self.send_header("Content-Length", str(len(raw)))
                    if status == 429:
                        self.send_header("Retry-After", "0")
                    self.end_headers()
                    self.wfile.write(raw)
                except OSError:
                    pass

            def log_message(self, *_):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"
