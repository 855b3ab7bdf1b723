"""This is a receiver of ALOT's webhooks in Python 3. It needs no packages:

    ALOT_WEBHOOK_SECRET=your-signing-secret PORT=8080 python3 receiver.py

In a framework, get the raw body: by request.get_data() in Flask, by request.body in
Django, by await request.body() in FastAPI and Starlette.
"""

import hashlib
import hmac
import json
import os
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MAX_BODY = 1024 * 1024  # bytes


def verify(body: bytes, signature: str, secret: str) -> bool:
    """Returns True if signature, the value of X-Alot-Signature, is the signature of
    exactly these bytes. They must be the bytes as received: the same JSON, parsed and
    encoded again, would have other bytes."""
    if not secret:  # with an empty key, anybody could sign
        return False
    want = "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    # Compare bytes: compare_digest accepts a str only if it is ASCII.
    return hmac.compare_digest(want.encode(), (signature or "").encode())


def parse(body: bytes) -> dict:
    """Returns the event in a body, or raises ValueError. It ignores other fields: new
    ones may be added."""
    event = json.loads(body.decode())  # decode first: json.loads would also accept UTF-16
    if not isinstance(event, dict) or "data" not in event:
        raise ValueError("not an event")
    fields = [event.get(key) for key in ("id", "type", "timestamp", "organizationId")]
    if not all(field and isinstance(field, str) for field in fields):
        raise ValueError("not an event")
    return event


def prove(event: dict, secret: str) -> dict | None:
    """Returns the answer to a verified event by which the sender asks for proof that this
    receiver has the secret, or None for any other event. It signs no text of another form
    than a challenge has."""
    token = event["data"].get("plainToken") if isinstance(event["data"], dict) else None
    if event["type"] != "endpoint.url_validation" or not isinstance(token, str):
        return None
    if not re.fullmatch(r"[A-Za-z0-9_-]{43}", token):
        return None
    proof = hmac.new(secret.encode(), token.encode(), hashlib.sha256).hexdigest()
    return {"plainToken": token, "encryptedToken": proof}


# An event may arrive more than once, also twice at the same time. Store its id in your
# database, under a unique index, in the same transaction as your own work. A set in
# memory and a lock are enough only for this example.
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
    timeout = 15  # seconds without a byte from the sender

    def do_POST(self) -> None:
        self.answer = b""
        try:
            status = self.receive()
        except Exception as error:  # the sender repeats the event after any status but 2xx
            self.log_error("event not handled: %r", error)
            status = 500
        self.send_response(status)
        if status in (411, 413, 415):  # the body was not read
            self.send_header("Connection", "close")
        self.send_header("Content-Length", str(len(self.answer)))
        self.end_headers()
        self.wfile.write(self.answer)

    def receive(self) -> int:
        """Handles a request and returns the status of the response."""
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
        proof = prove(event, self.secret)
        if proof is not None:
            self.answer = json.dumps(proof).encode()
            return 200
        handle(event)
        return 200  # within 15 seconds: queue longer work


def main() -> None:
    Receiver.secret = os.environ.get("ALOT_WEBHOOK_SECRET", "")
    if not Receiver.secret:
        raise SystemExit("ALOT_WEBHOOK_SECRET is not set")
    port = os.environ.get("PORT", "8080")
    try:
        server = ThreadingHTTPServer(("127.0.0.1", int(port)), Receiver)
    except (OSError, OverflowError, ValueError) as error:
        raise SystemExit(f"cannot listen on port {port}: {error}; set PORT to a free one")
    print(f"listening on http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
