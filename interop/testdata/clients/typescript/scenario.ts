// What a customer's program does with the API, through whichever client was generated: each of
// them is made into an API by a few lines. What it got is printed as JSON, for the test to judge.

declare const process: { env: Record<string, string>; exit(code: number): never };

export const base = process.env.BASE;
export const authorization = `Bearer ${process.env.TOKEN}`;

export interface Answer<T> {
  status: number;
  etag?: string | null;
  data?: T;
}

export interface Endpoint {
  id: string;
  description?: string;
  secret?: string;
  rate?: number;
  headers?: { name: string }[];
  nextSecretFrom?: string;
}

export interface Delivery {
  id: string;
  status: string;
  attempts: { durationMs: number; requestHeaders?: { [name: string]: string } }[];
  payload?: string;
}

export interface Change {
  description?: string | null;
  headers?: { name?: string; value?: string; bearer?: string }[] | null;
}

export interface Registration extends Change {
  url: string;
  events: string[];
  rate: number;
  description?: string;
  headers: { name?: string; value?: string; bearer?: string }[];
}

export interface API {
  eventTypes(): Promise<Answer<{ eventTypes: { name: string }[] }>>;
  create(body: Registration, key: string): Promise<Answer<Endpoint>>;
  list(limit: number, cursor?: string): Promise<Answer<{ endpoints: Endpoint[]; nextCursor?: string }>>;
  read(id: string): Promise<Answer<Endpoint>>;
  update(id: string, etag: string, body: Change): Promise<Answer<Endpoint>>;
  rotate(id: string, signsFrom: string): Promise<Answer<Endpoint>>;
  test(id: string, type: string): Promise<Answer<{ deliveryId: string }>>;
  delivery(id: string): Promise<Answer<Delivery>>;
  deliveries(id: string, limit: number, cursor?: string): Promise<Answer<{ deliveries: { id: string }[]; nextCursor?: string }>>;
  redeliver(id: string): Promise<Answer<{ id: string; status: string }>>;
  recover(id: string, since: string): Promise<Answer<{ status: string }>>;
  recovery(id: string): Promise<Answer<{ status: string; progress: number }>>;
  events(limit: number, cursor?: string): Promise<Answer<{ events: { id: string; payload?: string }[]; nextCursor: string; more: boolean }>>;
  document(): Promise<Answer<{ paths: { [path: string]: unknown } }>>;
  remove(id: string): Promise<Answer<unknown>>;
}

function got<T>(what: string, status: number, answer: Answer<T>): T {
  if (answer.status !== status || answer.data === undefined) throw new Error(`${what}: ${answer.status} ${JSON.stringify(answer.data)}`);
  return answer.data;
}

const names = (e: Endpoint) => (e.headers ?? []).map((h) => h.name);

async function endpoints(api: API) {
  const first = { url: process.env.RECEIVER, events: ["candidate.completed"], rate: 82.55, headers: [{ name: "X-Tenant", value: "42" }, { bearer: "t0ken" }] };
  const made = got("create", 201, await api.create(first, "key-1"));
  const again = got("create again", 201, await api.create(first, "key-1"));
  const second = got("create another", 201, await api.create(first, "key-2"));
  const listed: string[] = [];
  for (let cursor: string | undefined; ; ) {
    const page = got("list", 200, await api.list(1, cursor));
    listed.push(...page.endpoints.map((e) => e.id));
    if (!(cursor = page.nextCursor)) break;
  }
  const removed = (await api.remove(second.id)).status;
  return { id: made.id, secret: made.secret, rate: made.rate, headers: names(made), replayed: again.id, other: second.id, listed, removed };
}

async function changes(api: API, id: string) {
  const etag = (await api.read(id)).etag ?? "";
  const described = await api.update(id, etag, { description: "ATS" });
  const stale = (await api.update(id, etag, { description: "lost" })).status;
  const cleared = got("update", 200, await api.update(id, described.etag ?? "", { description: null, headers: [{ name: "X-Tenant" }] }));
  const rotated = got("rotate", 200, await api.rotate(id, new Date(Date.now() + 86_400_000).toISOString()));
  return {
    description: got("update", 200, described).description, stale, cleared: cleared.description ?? "", kept: names(cleared),
    rotated: rotated.secret, next: rotated.nextSecretFrom ?? "",
  };
}

async function delivered(api: API, id: string): Promise<Delivery> {
  for (;;) {
    const d = got("delivery", 200, await api.delivery(id));
    if (d.status === "delivered") return d;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function sends(api: API, id: string) {
  const one = got("test", 202, await api.test(id, "candidate.completed")).deliveryId;
  const other = got("test", 202, await api.test(id, "candidate.invited")).deliveryId;
  const read = await delivered(api, one);
  await delivered(api, other);
  const deliveries: string[] = [];
  for (let cursor: string | undefined; ; ) {
    const page = got("deliveries", 200, await api.deliveries(id, 1, cursor));
    deliveries.push(...page.deliveries.map((d) => d.id));
    if (!(cursor = page.nextCursor)) break;
  }
  const again = got("redeliver", 202, await api.redeliver(one));
  return {
    tests: [one, other], payload: read.payload, duration: read.attempts[0]?.durationMs, header: read.attempts[0]?.requestHeaders?.["X-Alot-Event"],
    deliveries, redelivered: again.id,
  };
}

async function recovers(api: API, id: string) {
  got("recover", 202, await api.recover(id, new Date(Date.now() - 3_600_000).toISOString()));
  const { status, progress } = got("recovery", 200, await api.recovery(id));
  return { recovery: status, progress };
}

async function pulls(api: API) {
  const pulled: { id: string; payload?: string }[] = [];
  for (let cursor: string | undefined; pulled.length < 3; ) {
    const page = got("events", 200, await api.events(2, cursor));
    pulled.push(...page.events);
    cursor = page.nextCursor;
  }
  return { events: pulled.map((e) => e.id), pulled: pulled[0]?.payload };
}

export async function run(api: API) {
  const types = got("event types", 200, await api.eventTypes()).eventTypes.map((t) => t.name);
  const made = await endpoints(api);
  const facts = { types, ...made, ...(await changes(api, made.id)), ...(await sends(api, made.id)), ...(await recovers(api, made.id)), ...(await pulls(api)) };
  const paths = Object.keys(got("document", 200, await api.document()).paths).length;
  console.log(JSON.stringify({ ...facts, paths }));
}
