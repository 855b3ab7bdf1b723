import createClient from "openapi-fetch";
import type { paths } from "./generated/schema.js";
import { type Answer, authorization, base, run } from "./scenario.js";

const client = createClient<paths>({ baseUrl: base, headers: { Authorization: authorization } });

function answer<T>(r: { data?: T; response: Response }): Answer<T> {
  return { status: r.response.status, etag: r.response.headers.get("ETag"), data: r.data };
}

await run({
  eventTypes: async () => answer(await client.GET("/v1/webhooks/event-types")),
  create: async (body, key) => answer(await client.POST("/v1/webhooks", { body, params: { header: { "Idempotency-Key": key } } })),
  list: async (limit, cursor) => answer(await client.GET("/v1/webhooks", { params: { query: { limit, cursor } } })),
  read: async (id) => answer(await client.GET("/v1/webhooks/{id}", { params: { path: { id } } })),
  update: async (id, etag, body) => answer(await client.PATCH("/v1/webhooks/{id}", { body, params: { path: { id }, header: { "If-Match": etag } } })),
  rotate: async (id, signsFrom) => answer(await client.POST("/v1/webhooks/{id}/rotate-secret", { body: { signsFrom }, params: { path: { id } } })),
  test: async (id, type) => answer(await client.POST("/v1/webhooks/{id}/test", { body: { type }, params: { path: { id } } })),
  delivery: async (id) => answer(await client.GET("/v1/webhooks/deliveries/{id}", { params: { path: { id } } })),
  deliveries: async (id, limit, cursor) => answer(await client.GET("/v1/webhooks/{id}/deliveries", { params: { path: { id }, query: { limit, cursor } } })),
  redeliver: async (id) => answer(await client.POST("/v1/webhooks/deliveries/{id}/redeliver", { params: { path: { id } } })),
  recover: async (id, since) => answer(await client.POST("/v1/webhooks/{id}/recover", { body: { since }, params: { path: { id } } })),
  recovery: async (id) => answer(await client.GET("/v1/webhooks/{id}/recover", { params: { path: { id } } })),
  events: async (limit, cursor) => answer(await client.GET("/v1/webhooks/events", { params: { query: { limit, cursor } } })),
  document: async () => answer(await client.GET("/v1/webhooks/openapi.json")),
  remove: async (id) => answer(await client.DELETE("/v1/webhooks/{id}", { params: { path: { id } } })),
});
