import * as api from "./generated/api.js";
import { type Answer, authorization, run } from "./scenario.js";

const headers = { Authorization: authorization };

// answer keeps what a response with the given status has. Any other has a problem.
function answer<R extends { status: number; headers: Headers; data: unknown }, S extends R["status"]>(
  r: R, status: S,
): Answer<Extract<R, { status: S }>["data"]> {
  const data = r.status === status ? (r as Extract<R, { status: S }>).data : undefined;
  return { status: r.status, etag: r.headers.get("ETag"), data };
}

await run({
  eventTypes: async () => answer(await api.listEventTypes({ headers }), 200),
  create: async (body, key) => answer(await api.createEndpoint(body, { headers: { ...headers, "Idempotency-Key": key } }), 201),
  list: async (limit, cursor) => answer(await api.listEndpoints({ limit, cursor }, { headers }), 200),
  read: async (id) => answer(await api.readEndpoint(id, { headers }), 200),
  update: async (id, etag, body) => answer(await api.updateEndpoint(id, body, { headers: { ...headers, "If-Match": etag } }), 200),
  rotate: async (id, signsFrom) => answer(await api.rotateSecret(id, { signsFrom }, { headers }), 200),
  test: async (id, type) => answer(await api.sendTest(id, { type }, { headers }), 202),
  delivery: async (id) => answer(await api.readDelivery(id, { headers }), 200),
  deliveries: async (id, limit, cursor) => answer(await api.listDeliveries(id, { limit, cursor }, { headers }), 200),
  redeliver: async (id) => answer(await api.redeliver(id, undefined, { headers }), 202),
  recover: async (id, since) => answer(await api.beginRecovery(id, { since }, { headers }), 202),
  recovery: async (id) => answer(await api.readRecovery(id, { headers }), 200),
  events: async (limit, cursor) => answer(await api.listEvents({ limit, cursor }, { headers }), 200),
  document: async () => answer(await api.readOpenAPI({ headers }), 200),
  remove: async (id) => answer(await api.deleteEndpoint(id, { headers }), 204),
});
