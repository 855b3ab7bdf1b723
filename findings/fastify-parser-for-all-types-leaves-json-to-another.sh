#!/usr/bin/env bash
# npm fastify 5.12.8
#
# addContentTypeParser("*", { parseAs: "buffer" }, …) is not for all types, but for those that
# no other parser takes. Fastify has its own for application/json and text/plain, which stay. So
# a webhook with application/json arrives as an object, whose bytes are gone, and one with
# application/cloudevents+json as the Buffer that was asked for. Encoded again, the object has
# the signed bytes only while the sender writes JSON as JSON.stringify does.
#
# One would guess that "*" is for all types, as */* is in express.raw; or that the parser that
# was added last comes first.
#
# For receivers: call removeAllContentTypeParsers() first, in a plugin of its own so that the
# other routes keep theirs, or add a parser for "application/json" by name.
#
# Seen 2026-11-29, Node 20.20.2:
#	"*" alone: application/json is an object, application/cloudevents+json a Buffer
#	after removeAllContentTypeParsers: application/json is a Buffer, application/cloudevents+json a Buffer
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --prefix "$work" --no-audit --no-fund fastify@5.12.8 >/dev/null 2>&1
cat >finding.mjs <<'JS'
import Fastify from "fastify";

for (const remove of [false, true]) {
  const app = Fastify();
  if (remove) app.removeAllContentTypeParsers();
  app.addContentTypeParser("*", { parseAs: "buffer" }, (request, body, done) => done(null, body));
  app.post("/", async (request) => (Buffer.isBuffer(request.body) ? "a Buffer" : "an " + typeof request.body));
  const kind = async (type) => {
    const response = await app.inject({ method: "POST", url: "/", payload: '{ "score": 82.0 }', headers: { "content-type": type } });
    return response.body;
  };
  const name = remove ? "after removeAllContentTypeParsers" : '"*" alone';
  console.log(`${name}: application/json is ${await kind("application/json")}, application/cloudevents+json ${await kind("application/cloudevents+json")}`);
  await app.close();
}
JS
got=$(node finding.mjs)
want='"*" alone: application/json is an object, application/cloudevents+json a Buffer
after removeAllContentTypeParsers: application/json is a Buffer, application/cloudevents+json a Buffer'
printf '%s\n' "$got"
[[ $got == "$want" ]] || { echo 'CHANGED: it behaves otherwise now' >&2; exit 1; }
