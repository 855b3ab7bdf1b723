import "reflect-metadata";
import { Controller, Module, Post, Req, Res } from "@nestjs/common";
import { NestFactory } from "@nestjs/core";
import { accept } from "./receiver.mjs";

const secret = process.env.ALOT_WEBHOOK_SECRET;

class Webhooks {
  async receive(request, response) {
    const answer = await accept(request.rawBody, request.get("x-alot-signature"), secret);
    if (typeof answer === "object") response.status(200).json(answer);
    else response.sendStatus(answer);
  }
}
class App {}

// What decorators do where a compiler knows them.
const method = Object.getOwnPropertyDescriptor(Webhooks.prototype, "receive");
Post("alot/webhook")(Webhooks.prototype, "receive", method);
Req()(Webhooks.prototype, "receive", 0);
Res()(Webhooks.prototype, "receive", 1);
Controller()(Webhooks);
Module({ controllers: [Webhooks] })(App);

const app = await NestFactory.create(App, { rawBody: true, logger: false });
app.useBodyParser("json", { limit: "1mb", inflate: false });
await app.listen(0, "127.0.0.1");
console.log(`listening on http://127.0.0.1:${app.getHttpServer().address().port}/alot/webhook`);
