"""Receivers by WSGI (application) and by ASGI (asgi). Each notes what it was sent, once it has all of it.
To /early they answer before they read."""
import os


def note(delivery, size):
    log = os.open(os.environ["ALOT_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    os.write(log, f"{delivery} {size}\n".encode())
    os.close(log)


def application(environ, start_response):
    if environ["PATH_INFO"] == "/early":
        start_response("401 Unauthorized", [("Content-Length", "2")])
        return [b"no"]
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    note(environ.get("HTTP_X_ALOT_DELIVERY", "-"), len(body))
    start_response("204 No Content", [("Content-Length", "0")])
    return []


async def asgi(scope, receive, send):
    if scope["type"] != "http":
        return
    if scope["path"] == "/early":
        await send({"type": "http.response.start", "status": 401, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"no"})
        return
    size, more = 0, True
    while more:
        part = await receive()
        if part["type"] == "http.disconnect":
            return
        size += len(part.get("body", b""))
        more = part.get("more_body", False)
    note(dict(scope["headers"]).get(b"x-alot-delivery", b"-").decode(), size)
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})
