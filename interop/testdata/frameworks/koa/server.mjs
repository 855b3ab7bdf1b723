import Koa from "koa";
import { accept, read } from "./receiver.mjs";

const secret = process.env.ALOT_WEBHOOK_SECRET;
const path = "/alot/webhook";
const app = new Koa();

app.use(async (ctx) => {
  if (ctx.method !== "POST" || ctx.path !== path) return; // 404
  const body = await read(ctx.req, ctx.get("content-length"));
  const answer = await accept(body, ctx.get("x-alot-signature"), secret);
  if (typeof answer === "object") ctx.body = answer;
  else ctx.status = answer;
});
const listener = app.listen(0, "127.0.0.1", () => {
  console.log(`listening on http://127.0.0.1:${listener.address().port}${path}`);
});
