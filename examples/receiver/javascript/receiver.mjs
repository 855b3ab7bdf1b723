// This is a receiver of ALOT's webhooks for Node. It needs no packages:
//
//   ALOT_WEBHOOK_SECRET=your-signing-secret PORT=8080 node receiver.mjs
//
// In a framework, pass accept the raw body: at least 256 KiB of it, not decompressed, and not parsed. No parser of
// JSON may stand in front of the route. These lines pass `alotwebhook check --skip duplicate-keys`, each with the
// version named:
//
//   Express 5.3.0   app.post(path, express.raw({ type: "*/*", limit: "1mb", inflate: false }), handler);
//                   accept(request.body, request.get("x-alot-signature"), secret)
//   Fastify 5.12.8  app.removeAllContentTypeParsers();
//                   app.addContentTypeParser("*", { parseAs: "buffer" }, (request, body, done) => done(null, body));
//                   accept(request.body, request.headers["x-alot-signature"], secret)
//   NestJS 12.5.1   const app = await NestFactory.create(App, { rawBody: true });
//                   app.useBodyParser("json", { limit: "1mb", inflate: false });
//                   accept(request.rawBody, request.get("x-alot-signature"), secret)
//   Next.js 16.4.6  const body = await read(request.body, request.headers.get("content-length"));
//                   accept(body, request.headers.get("x-alot-signature"), secret)
//   Hono 4.13.19    const body = await read(c.req.raw.body, c.req.header("content-length"));
//                   accept(body, c.req.header("x-alot-signature"), secret)
//   Koa 3.3.0       const body = await read(ctx.req, ctx.get("content-length"));
//                   accept(body, ctx.get("x-alot-signature"), secret)
import { createHmac, timingSafeEqual } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import { pathToFileURL } from "node:url";

const MAX_BODY = 1024 * 1024; // bytes

/**
 * Returns true if signature, the value of X-Alot-Signature, is the signature of exactly
 * these bytes. The body is a Buffer with the bytes as received: the same JSON, parsed and
 * encoded again, would have other bytes.
 */
export function verify(body, signature, secret) {
  if (!secret) return false; // with an empty key, anybody could sign
  const want = Buffer.from("sha256=" + createHmac("sha256", secret).update(body).digest("hex"));
  const got = Buffer.from(String(signature ?? ""));
  return got.length === want.length && timingSafeEqual(got, want);
}

/**
 * Returns the answer to a verified event by which the sender asks for proof that this receiver has
 * the secret, or null for any other event. It signs no text of another form than a challenge has.
 */
export function prove(event, secret) {
  const plainToken = event.data?.plainToken;
  if (event.type !== "endpoint.url_validation" || typeof plainToken !== "string") return null;
  if (!/^[A-Za-z0-9_-]{43}$/.test(plainToken)) return null;
  return { plainToken, encryptedToken: createHmac("sha256", secret).update(plainToken).digest("hex") };
}

/** Returns the event in a body, or null. It ignores other fields: new ones may be added. */
function parse(body) {
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(body);
    const event = JSON.parse(text);
    const fields = [event.id, event.type, event.timestamp, event.organizationId];
    return fields.every((field) => field && typeof field === "string") && "data" in event ? event : null;
  } catch {
    return null; // not UTF-8, not JSON, or the JSON value null
  }
}

/** Returns all of a body, or null if it is too large; length is the request's content-length, if it has one. */
export async function read(stream, length) {
  if (Number(length ?? 0) > MAX_BODY) return null;
  const chunks = [];
  let size = 0; // a chunked body has no content-length
  for await (const chunk of stream ?? []) {
    size += chunk.length;
    if (size > MAX_BODY) return null;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

// An event may arrive more than once, also twice at the same time. Store its id in your
// database, under a unique index, in the same transaction as your own work. A Set in memory
// is enough only for this example, where handle awaits nothing.
const done = new Set();

async function handle(event) {
  if (done.has(event.id)) return;
  console.log("received", event.type, event.id);
  done.add(event.id);
}

/**
 * Handles the event in a raw body, and returns the status of the response, or the body of one with 200. The body is
 * a Buffer, null if it was too large, or undefined if the request had none.
 */
export async function accept(body, signature, secret) {
  if (body === null) return 413;
  if (!verify(body ?? Buffer.alloc(0), signature, secret)) return 401;
  const event = parse(body);
  if (event === null) return 400;
  const proof = prove(event, secret);
  if (proof) return proof;
  await handle(event);
  return 204; // within 15 seconds: queue longer work
}

async function receive(request, secret) {
  if (request.method !== "POST") return 405;
  if ((request.headers["content-encoding"] ?? "identity") !== "identity") return 415;
  const body = await read(request, request.headers["content-length"]);
  return accept(body, request.headers["x-alot-signature"], secret);
}

export function server(secret) {
  if (!secret) throw new Error("ALOT_WEBHOOK_SECRET is not set");
  return createServer({ requestTimeout: 15_000 }, async (request, response) => {
    let answer = 500; // the sender repeats the event after any status but 2xx
    try {
      answer = await receive(request, secret);
    } catch (error) {
      console.error("event not handled:", error);
    }
    if (typeof answer === "object") {
      response.writeHead(200, { "Content-Type": "application/json" }).end(JSON.stringify(answer));
      return;
    }
    if (answer === 413) response.setHeader("Connection", "close"); // the rest of the body is not read
    response.writeHead(answer).end();
  });
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  try {
    const receiver = server(process.env.ALOT_WEBHOOK_SECRET);
    receiver.listen(Number(process.env.PORT ?? 8080), "127.0.0.1");
    await once(receiver, "listening"); // or "error", as of a port that is taken
    console.log(`listening on http://127.0.0.1:${receiver.address().port}`);
  } catch (error) {
    console.error(`the receiver does not run: ${error.message}`);
    process.exitCode = 1;
  }
}
