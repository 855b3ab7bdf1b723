"""A receiver of ALOT's webhooks in Python 3, with nothing to install:

    ALOT_WEBHOOK_SECRET=your-signing-secret PORT=8080 python3 receiver.py

Of a framework, take the raw body: request.get_data() in Flask, request.body in
Django, await request.body() in FastAPI and Starlette.
"""

import hashlib
import hmac
import json
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MAX_BODY = 1024 * 1024  # bytes


def verify(body: bytes, signature: str, secret: str) -> bool:
    """Tells whether signature, the value of X-Alot-Signature, is that of exactly
    these bytes. They must be as received: parsed and encoded again they differ."""
    if not secret:  # an empty key would let everybody sign
        return False
    want = "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    # As bytes: of two str, compare_digest takes ASCII alone.
    return hmac.compare_digest(want.encode(), (signature or "").encode())


def parse(body: bytes) -> dict:
    """Returns the event that a body is; a ValueError says that it is none. What
    else is in it is welcome: fields are added."""
    event = json.loads(body.decode())  # decoded here: json.loads takes UTF-16, too
    if not isinstance(event, dict) or "data" not in event:
        raise ValueError("not an event")
    fields = [event.get(key) for key in ("id", "type", "timestamp", "organizationId")]
    if not all(field and isinstance(field, str) for field in fields):
        raise ValueError("not an event")
    return event


# Deliveries are made at least once, and sometimes two at once. Keep the ids in your
# database, in the same transaction as what the event changes and under a unique
# index; memory and a lock are enough for this example alone.
done = set()
lock = threading.Lock()


def handle(event: dict) -> None:
    with lock:
        if event["id"] in done:
            return
        print("received", event["type"], event["id"], flush=True)
        done.add(event["id"])


class Receiver(BaseHTTPRequestHandler):
    secret = ""
    timeout = 15  # seconds that a sender may be silent

    def do_POST(self) -> None:
        try:
            status = self.answer()
        except Exception as error:  # anything but 2xx: the event comes again
            self.log_error("event not handled: %r", error)
            status = 500
        self.send_response(status)
        if status in (411, 413, 415):  # the body was not read
            self.send_header("Connection", "close")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def answer(self) -> int:
        if self.headers.get("Content-Encoding", "identity") != "identity":
            return 415
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal():
            return 411
        if int(length) > MAX_BODY:
            return 413
        body = self.rfile.read(int(length))
        signatures = self.headers.get_all("X-Alot-Signature", [])
        if len(signatures) != 1 or not verify(body, signatures[0], self.secret):
            return 401
        try:
            event = parse(body)
        except ValueError:
            return 400
        handle(event)
        return 200  # within 15 seconds; take longer work elsewhere


def main() -> None:
    Receiver.secret = os.environ.get("ALOT_WEBHOOK_SECRET", "")
    if not Receiver.secret:
        raise SystemExit("ALOT_WEBHOOK_SECRET is not set")
    server = ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "8080"))), Receiver)
    print(f"listening on http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
