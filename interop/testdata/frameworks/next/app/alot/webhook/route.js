import { accept, read } from "../../../receiver.mjs";

export async function POST(request) {
  const body = await read(request.body, request.headers.get("content-length"));
  const answer = await accept(body, request.headers.get("x-alot-signature"), process.env.ALOT_WEBHOOK_SECRET);
  if (typeof answer === "object") return Response.json(answer);
  return new Response(null, { status: answer });
}
