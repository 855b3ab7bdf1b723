import { createServer } from "node:http";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import next from "next";

const app = next({ dev: false, dir: dirname(fileURLToPath(import.meta.url)) });
await app.prepare();
const listener = createServer(app.getRequestHandler()).listen(0, "127.0.0.1", () => {
  console.log(`listening on http://127.0.0.1:${listener.address().port}/alot/webhook`);
});
