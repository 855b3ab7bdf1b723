// A receiver. It notes what it was sent, once it has all of it. To /early it answers before it reads.
import { appendFileSync } from "node:fs";
import { createServer } from "node:http";

createServer((request, response) => {
  if (request.url === "/early") {
    response.writeHead(401, { Connection: "close" }).end("no");
    return;
  }
  let size = 0;
  request.on("data", (part) => (size += part.length));
  request.on("end", () => {
    appendFileSync(process.env.ALOT_LOG, `${request.headers["x-alot-delivery"] ?? "-"} ${size}\n`);
    response.writeHead(204).end();
  });
}).listen(Number(process.env.PORT), "127.0.0.1");
