// A receiver of ALOT's webhooks for Node, with nothing to install:
//
//   ALOT_WEBHOOK_SECRET=your-signing-secret PORT=8080 node receiver.mjs
//
// Of a framework, take the raw body: express.raw({ type: "*/*" }), fastify's
// addContentTypeParser with parseAs "buffer", await request.arrayBuffer() in Next.js.
import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";
import { pathToFileURL } from "node:url";

const MAX_BODY = 1024 * 1024; // bytes

/**
 * Tells whether signature, the value of X-Alot-Signature, is that of exactly
 * these bytes. The body is a Buffer as it was received: parsed and encoded again
 * it would have other bytes.
 */
export function verify(body, signature, secret) {
  if (!secret) return false; // an empty key would let everybody sign
  const want = Buffer.from("sha256=" + createHmac("sha256", secret).update(body).digest("hex"));
  const got = Buffer.from(String(signature ?? ""));
  return got.length === want.length && timingSafeEqual(got, want);
}

/** Returns the event that a body is, or null. What else is in it is welcome: fields are added. */
function parse(body) {
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(body);
    const event = JSON.parse(text);
    const fields = [event.id, event.type, event.timestamp, event.organizationId];
    return fields.every((field) => field && typeof field === "string") && "data" in event ? event : null;
  } catch {
    return null; // not UTF-8, not JSON, or null
  }
}

/** Returns the whole body, or null if it is too large. */
async function read(request) {
  if (Number(request.headers["content-length"] ?? 0) > MAX_BODY) return null;
  const chunks = [];
  let size = 0; // of a chunked body nothing else tells it
  for await (const chunk of request) {
    size += chunk.length;
    if (size > MAX_BODY) return null;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

// Deliveries are made at least once, and sometimes two at once. Keep the ids in your
// database, in the same transaction as what the event changes and under a unique
// index; memory is enough for this example alone, in which nothing is awaited.
const done = new Set();

async function handle(event) {
  if (done.has(event.id)) return;
  console.log("received", event.type, event.id);
  done.add(event.id);
}

async function answer(request, secret) {
  if (request.method !== "POST") return 405;
  if ((request.headers["content-encoding"] ?? "identity") !== "identity") return 415;
  const body = await read(request);
  if (body === null) return 413;
  if (!verify(body, request.headers["x-alot-signature"], secret)) return 401;
  const event = parse(body);
  if (event === null) return 400;
  await handle(event);
  return 204; // within 15 seconds; take longer work elsewhere
}

export function server(secret) {
  if (!secret) throw new Error("ALOT_WEBHOOK_SECRET is not set");
  return createServer({ requestTimeout: 15_000 }, async (request, response) => {
    let status = 500; // anything but 2xx: the event comes again
    try {
      status = await answer(request, secret);
    } catch (error) {
      console.error("event not handled:", error);
    }
    if (status === 413) response.setHeader("Connection", "close"); // the rest is not read
    response.writeHead(status).end();
  });
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const receiver = server(process.env.ALOT_WEBHOOK_SECRET);
  receiver.listen(Number(process.env.PORT ?? 8080), "127.0.0.1", () => {
    console.log(`listening on http://127.0.0.1:${receiver.address().port}`);
  });
}
