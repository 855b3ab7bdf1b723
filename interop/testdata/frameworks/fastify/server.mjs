import Fastify from "fastify";
import { accept } from "./receiver.mjs";

const secret = process.env.ALOT_WEBHOOK_SECRET;
const path = "/alot/webhook";
const app = Fastify();

app.removeAllContentTypeParsers();
app.addContentTypeParser("*", { parseAs: "buffer" }, (request, body, done) => done(null, body));
app.post(path, async (request, reply) => {
  const answer = await accept(request.body, request.headers["x-alot-signature"], secret);
  if (typeof answer === "object") return answer;
  return reply.code(answer).send();
});
console.log(`listening on ${await app.listen({ host: "127.0.0.1", port: 0 })}${path}`);
