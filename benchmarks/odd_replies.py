"""What servers were seen to send instead of a completion, and completions with something odd in them.

Each of `REPLIES` makes, of a good completion, what `remote_server.Server` is to send: a status and a body.
Beside it stands what can be made of it: by its text, and by its probabilities.
"""

import copy
import json
import time
from typing import NamedTuple

GOOD, BAD = True, False


class Odd(NamedTuple):
    """`make(completion)` gives status and body; `text` and `weighed` say whether that is an answer."""

    make: object
    text: bool = BAD
    weighed: bool = BAD
    says: str = ""


def status(code, body=None, says=""):
    return Odd(lambda good: (code, {"error": {"message": "no"}} if body is None else body), says=says)


def body(value, text=BAD, weighed=BAD, says=""):
    return Odd(lambda good: (200, value), text, weighed, says)


def changed(text=BAD, weighed=None, says="", **paths):
    """The good completion with other fields, in its `whole`, `choice`, `message` or `first` token."""

    def make(good):
        made = copy.deepcopy(good)
        choice = made["choices"][0]
        places = {
            "whole": made,
            "choice": choice,
            "message": choice["message"],
            "first": choice["logprobs"]["content"][0],
        }
        for where, fields in paths.items():
            for name, value in fields.items():
                if value is LEFT_OUT:
                    places[where].pop(name, None)
                else:
                    places[where][name] = value
        return 200, made

    return Odd(make, text, text if weighed is None else weighed, says)


LEFT_OUT = object()
FILTERED = "The response was filtered due to the prompt triggering our content management policy"
TOO_LONG = "This model's maximum context length is 4097 tokens"


def _cut(handler):
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 4000\r\n\r\n{")


def _silent(handler):
    handler.close_connection = True


def _dripping(good):
    def drip(handler):
        raw = json.dumps(good).encode()
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(raw))
        for at in range(len(raw)):
            handler.wfile.write(raw[at : at + 1])
            handler.wfile.flush()
            time.sleep(0.1)
            if at > 12:
                return

    return 200, drip


def _slow(good):
    time.sleep(1.2)
    return 200, good


def _plainly(encode):
    return lambda good: (200, encode(json.dumps(good)))


def _zipped(handler):
    handler.wfile.write(
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
    )


def _elsewhere(handler):
    handler.wfile.write(b"HTTP/1.1 301 Moved\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")


REPLIES = {
    "filtered 400": status(400, {"error": {"message": FILTERED, "code": "content_filter"}}, FILTERED),
    "context 400": status(400, {"error": {"message": TOO_LONG, "param": "messages"}}, TOO_LONG),
    "empty 400": status(400, b"", "HTTP 400"),
    "page 400": status(400, b"<html><h1>Bad Request</h1></html>", "Bad Request"),
    "moderated 403": status(403, {"error": {"message": "flagged", "metadata": {}}}, "flagged"),
    "gone 404": status(404, says="HTTP 404"),
    "timeout 408": status(408, says="HTTP 408"),
    "conflict 409": status(409, says="HTTP 409"),
    "large 413": status(413, b"payload too large", "payload too large"),
    "teapot 418": status(418, says="HTTP 418"),
    "detail 422": status(422, {"detail": [{"loc": ["body"], "msg": "field required"}]}, "field required"),
    "busy 429": status(429, {"error": "slow down"}, "slow down"),
    "error 500": status(500, b"\xff\xfe", "HTTP 500"),
    "page 502": status(502, b"<html>nginx</html>", "nginx"),
    "busy 503": status(503, {"message": "loading model"}, "loading model"),
    "late 504": status(504, b"null", "HTTP 504"),
    "overloaded 529": status(529, [], "HTTP 529"),
    "moved 301": Odd(lambda good: (200, _elsewhere), says="301"),
    "nothing 204": status(204, b"", "not a completion"),
    "empty": body(b"", says="not a completion"),
    "null": body(b"null", says="not a completion"),
    "list": body([], says="not a completion"),
    "word": body(b'"fine"', says="not a completion"),
    "page": body(b"<!doctype html><p>Please log in", says="Please log in"),
    "cut JSON": body(b'{"id": "1", "choices": [{"ind', says="not a completion"),
    "deep": body(b"[" * 200_000, says="not a completion"),
    "stream": body(b'data: {"choices": []}\n\ndata: [DONE]\n', says="not a completion"),
    "cut body": Odd(lambda good: (200, _cut), says="cut"),
    "no answer": Odd(lambda good: (200, _silent), says="no answer"),
    "dripping": Odd(_dripping, says="longer than"),
    "slow": Odd(_slow, says="Timeout"),
    "wrongly zipped": Odd(lambda good: (200, _zipped), says="cut"),
    "marked UTF-8": Odd(_plainly(lambda raw: raw.encode("utf-8-sig")), GOOD, GOOD),
    "UTF-16": Odd(_plainly(lambda raw: raw.encode("utf-16")), GOOD, GOOD),
    "error inside": body({"error": {"message": "upstream died", "code": 502}}, says="upstream died"),
    "error as text": body({"error": "overloaded"}, says="overloaded"),
    "error object": body({"object": "error", "message": "too long", "code": 400}, says="too long"),
    "error beside": changed(whole={"error": {"message": "partial"}}, says="partial"),
    "error in choice": changed(choice={"error": {"message": "provider"}}, says="provider"),
    "no choices": changed(whole={"choices": LEFT_OUT}, says="no choices"),
    "null choices": changed(whole={"choices": None}, says="no choices"),
    "empty choices": changed(whole={"choices": []}, says="no choices"),
    "choices object": changed(whole={"choices": {}}, says="no choices"),
    "null choice": changed(whole={"choices": [None]}, says="no choices"),
    "empty choice": changed(whole={"choices": [{}]}),
    "null message": changed(choice={"message": None}, weighed=GOOD, says="no text"),
    "message as text": changed(choice={"message": "yes"}, weighed=GOOD, says="no text"),
    "null content": changed(message={"content": None}, weighed=GOOD, says="no text"),
    "no content": changed(message={"content": LEFT_OUT}, weighed=GOOD, says="no text"),
    "empty content": changed(message={"content": ""}, weighed=GOOD, says="no text"),
    "blank content": changed(message={"content": " \n"}, weighed=GOOD, says="no text"),
    "number content": changed(message={"content": 7}, weighed=GOOD, says="no text"),
    "spent thinking": changed(
        message={"content": None}, choice={"finish_reason": "length"}, weighed=GOOD, says="raise new_tokens"
    ),
    "refusal": changed(message={"content": None, "refusal": "I cannot help"}, says="I cannot help"),
    "refusal beside text": changed(message={"refusal": "I cannot help"}, says="I cannot help"),
    "filtered": changed(choice={"finish_reason": "content_filter"}, says="filtered"),
    "safety": changed(choice={"finish_reason": "SAFETY"}, says="SAFETY"),
    "finish error": changed(choice={"finish_reason": "error"}, says="error"),
    "finish object": changed(choice={"finish_reason": {"type": "stop"}}, says="not finished"),
    "tool": changed(
        message={"content": None, "tool_calls": [{"id": "1"}]}, choice={"finish_reason": "tool_calls"}
    ),
    "null finish": changed(GOOD, choice={"finish_reason": None}),
    "no finish": changed(GOOD, choice={"finish_reason": LEFT_OUT}),
    "null refusal": changed(GOOD, message={"refusal": None}),
    "null usage": changed(GOOD, whole={"usage": None}),
    "no usage": changed(GOOD, whole={"usage": LEFT_OUT}),
    "partial usage": changed(GOOD, whole={"usage": {"prompt_tokens": 3}}),
    "usage in words": changed(GOOD, whole={"usage": {"prompt_tokens": "3", "completion_tokens": None}}),
    "negative usage": changed(GOOD, whole={"usage": {"prompt_tokens": -1, "completion_tokens": 1.5}}),
    "usage list": changed(GOOD, whole={"usage": [3]}),
    "null logprobs": changed(GOOD, BAD, choice={"logprobs": None}),
    "no logprobs": changed(GOOD, BAD, choice={"logprobs": LEFT_OUT}),
    "logprobs list": changed(GOOD, BAD, choice={"logprobs": [1]}),
    "null in logprobs": changed(GOOD, BAD, choice={"logprobs": {"content": None}}),
    "empty logprobs": changed(GOOD, BAD, choice={"logprobs": {"content": []}}),
    "old logprobs": changed(GOOD, BAD, choice={"logprobs": {"tokens": ["y"], "token_logprobs": [-0.1]}}),
    "null logprob": changed(GOOD, BAD, first={"logprob": None}),
    "NaN logprob": changed(GOOD, BAD, first={"logprob": float("nan")}),
    "positive logprob": changed(GOOD, BAD, first={"logprob": 3.0}),
    "endless logprob": changed(GOOD, BAD, first={"logprob": float("-inf")}),
    "null token": changed(GOOD, BAD, first={"token": None}),
    "null top": changed(GOOD, BAD, first={"top_logprobs": None}),
    "broken top": changed(GOOD, BAD, first={"top_logprobs": [{"token": "yes"}, None, {"logprob": -1}]}),
    "strange top": changed(GOOD, BAD, first={"top_logprobs": [{"token": "¿", "logprob": -0.1}]}),
    "more fields": changed(
        GOOD, whole={"x": 1}, choice={"y": [2]}, message={"reasoning": "hm", "audio": None}
    ),
    "fewer fields": changed(
        GOOD, whole={"id": LEFT_OUT, "object": LEFT_OUT, "created": "now", "model": None}
    ),
}
