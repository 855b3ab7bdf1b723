import { serve } from "@hono/node-server";
import { Hono } from "hono";
import { accept, read } from "./receiver.mjs";

const secret = process.env.ALOT_WEBHOOK_SECRET;
const path = "/alot/webhook";
const app = new Hono();

app.post(path, async (c) => {
  const body = await read(c.req.raw.body, c.req.header("content-length"));
  const answer = await accept(body, c.req.header("x-alot-signature"), secret);
  if (typeof answer === "object") return c.json(answer);
  return c.body(null, answer);
});
serve({ fetch: app.fetch, hostname: "127.0.0.1", port: 0 }, (address) => {
  console.log(`listening on http://127.0.0.1:${address.port}${path}`);
});
