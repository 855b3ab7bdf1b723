// This program reads testdata/signatures.json from standard input, and calls a receiver's
// verify for each case. It prints the results as a JSON array of booleans.
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const { verify } = await import(pathToFileURL(process.argv[2]));
const { cases } = JSON.parse(readFileSync(0, "utf8"));
const bytes = (c) => (c.bodyBase64 === undefined ? Buffer.from(c.body) : Buffer.from(c.bodyBase64, "base64"));
console.log(JSON.stringify(cases.map((c) => verify(bytes(c), c.signature, c.secret))));
