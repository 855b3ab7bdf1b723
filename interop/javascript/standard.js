// This program signs and verifies with the published library. It reads a JSON array of
// requests from standard input, and writes an array of results to standard output.
import { readFileSync } from "node:fs";
import { Webhook } from "standardwebhooks";

function answer({ secret, id, timestamp, headers, body }) {
  try {
    const webhook = new Webhook(secret);
    if (!headers) {
      return { signature: webhook.sign(id, new Date(timestamp * 1000), body) };
    }
    webhook.verify(body, headers, { jsonParse: false });
    return {};
  } catch (error) {
    return { error: String(error.message) };
  }
}

console.log(JSON.stringify(JSON.parse(readFileSync(0, "utf8")).map(answer)));
