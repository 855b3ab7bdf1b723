import { client } from "./generated/client.gen.js";
import * as sdk from "./generated/sdk.gen.js";
import { type Answer, base, run } from "./scenario.js";

declare const process: { env: Record<string, string> };

client.setConfig({ baseUrl: base, auth: () => process.env.TOKEN });

function answer<T>(r: { data?: T; response?: Response }): Answer<T> {
  return { status: r.response?.status ?? 0, etag: r.response?.headers.get("ETag"), data: r.data };
}

await run({
  eventTypes: async () => answer(await sdk.listEventTypes()),
  create: async (body, key) => answer(await sdk.createEndpoint({ body, headers: { "Idempotency-Key": key } })),
  list: async (limit, cursor) => answer(await sdk.listEndpoints({ query: { limit, cursor } })),
  read: async (id) => answer(await sdk.readEndpoint({ path: { id } })),
  update: async (id, etag, body) => answer(await sdk.updateEndpoint({ body, path: { id }, headers: { "If-Match": etag } })),
  rotate: async (id, signsFrom) => answer(await sdk.rotateSecret({ body: { signsFrom }, path: { id } })),
  test: async (id, type) => answer(await sdk.sendTest({ body: { type }, path: { id } })),
  delivery: async (id) => answer(await sdk.readDelivery({ path: { id } })),
  deliveries: async (id, limit, cursor) => answer(await sdk.listDeliveries({ path: { id }, query: { limit, cursor } })),
  redeliver: async (id) => answer(await sdk.redeliver({ path: { id } })),
  recover: async (id, since) => answer(await sdk.beginRecovery({ body: { since }, path: { id } })),
  recovery: async (id) => answer(await sdk.readRecovery({ path: { id } })),
  events: async (limit, cursor) => answer(await sdk.listEvents({ query: { limit, cursor } })),
  document: async () => answer(await sdk.readOpenApi()),
  remove: async (id) => answer(await sdk.deleteEndpoint({ path: { id } })),
});
