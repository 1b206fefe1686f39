"""A real HTTP server on loopback that speaks OpenAI's chat completions, well or badly."""

import json
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def completion(text, logprobs=None) -> bytes:
    """An answer with this text; logprobs: {word: log-probability} of its first word."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    if logprobs is not None:
        top = [{"token": word, "logprob": value} for word, value in logprobs.items()]
        choice["logprobs"] = {"content": [{**top[0], "top_logprobs": top}]}
    return json.dumps({"id": "1", "object": "chat.completion", "choices": [choice]}).encode()


@contextmanager
def chat_server(content=b"{}", status=200, headers=None, wait=0.0, drip=0.0):
    """(base url, the requests so far: (path, headers, JSON)). wait: seconds before an answer; drip: between bytes."""
    seen = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            seen.append((self.path, dict(self.headers), json.loads(body)))
            time.sleep(wait)
            try:
                self.send_response(status)
                for name, value in (headers or {}).items():
                    self.send_header(name, value)
                if "Content-Length" not in (headers or {}):
                    self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                for part in [content[i : i + 1] for i in range(len(content))] if drip else [content]:
                    self.wfile.write(part)
                    self.wfile.flush()
                    time.sleep(drip)
            except OSError:  # the client has gone
                pass

        def log_message(self, *about):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1", seen
    finally:
        server.shutdown()
        server.server_close()
