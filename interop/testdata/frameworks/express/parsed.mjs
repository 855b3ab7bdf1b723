import express from "express";
import { accept } from "./receiver.mjs";

const secret = process.env.ALOT_WEBHOOK_SECRET;
const path = "/alot/webhook";
const app = express();

async function handler(request, response) {
  const answer = await accept(request.body, request.get("x-alot-signature"), secret);
  if (typeof answer === "object") response.json(answer);
  else response.sendStatus(answer);
}

// The mistake: this parses the body before the route has it.
app.use(express.json({ limit: "1mb" }));
app.post(path, express.raw({ type: "*/*", limit: "1mb", inflate: false }), handler);
const listener = app.listen(0, "127.0.0.1", () => {
  console.log(`listening on http://127.0.0.1:${listener.address().port}${path}`);
});
