"""A receiver of webhooks for tests: an HTTP server on a loopback port that keeps what it is sent.

    with Receiver() as receiver:
        receiver.answers = [500]        # the first gets this, the rest 200
        ... receiver.url ... receiver.seen
"""

import base64
import hashlib
import hmac
import http.server
import threading
from typing import NamedTuple


class Seen(NamedTuple):
    path: str
    headers: dict
    body: str


class Receiver:
    def __init__(self, port=0):
        self.seen, self.answers, self.lock = [], [], threading.Lock()
        owner = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
                with owner.lock:
                    status = owner.answers.pop(0) if owner.answers else 200
                    headers = {name.lower(): value for name, value in self.headers.items()}
                    owner.seen.append(Seen(self.path, headers, body))
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self):
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05})
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


def is_signed(seen, secret):
    """As the specification of Standard Webhooks says it is checked."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    text = f"{seen.headers['webhook-id']}.{seen.headers['webhook-timestamp']}.{seen.body}"
    good = base64.b64encode(hmac.new(key, text.encode(), hashlib.sha256).digest()).decode()
    return hmac.compare_digest(seen.headers["webhook-signature"], "v1," + good)
