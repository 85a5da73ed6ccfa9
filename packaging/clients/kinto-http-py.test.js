// The requests that kinto-http.py sends for each example of its documentation, as they
// are on the wire: it sends a body of {} with every DELETE, quotes what it compares,
// writes query values as JSON, follows Next-Page, and asks for its attachments by
// multipart forms with text fields first. Debian has no package of it.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { request } from "node:http";
import { after, before, test } from "node:test";
import { basic, jeannine, start } from "./foyer.js";

let foyer;
before(async () => {
  foyer = await start({
    KINTO_INCLUDES: "kinto.plugins.default_bucket kinto.plugins.accounts kinto.plugins.history kinto_attachment",
    KINTO_ACCOUNT_CREATE_PRINCIPALS: "system.Everyone",
    KINTO_EXPERIMENTAL_PERMISSIONS_ENDPOINT: "true",
    KINTO_EXPERIMENTAL_COLLECTION_SCHEMA_VALIDATION: "true",
    KINTO_PAGINATE_BY: "5",
  });
});
after(() => foyer.stop());

// wire sends one request on a connection that stays open, as the library requests does.
function wire(method, url, headers, body) {
  return new Promise((resolve, reject) => {
    const sent = request(url, { method, headers: { "User-Agent": "kinto_http/11.11.0 requests/2.32.3 python/3.11.2", "Accept-Encoding": "gzip, deflate", Accept: "*/*", Connection: "keep-alive", ...headers } }, (answer) => {
      const parts = [];
      answer.on("data", (part) => parts.push(part));
      answer.on("end", () => resolve({ status: answer.statusCode, headers: answer.headers, bytes: Buffer.concat(parts) }));
    });
    sent.on("error", reject);
    sent.end(body);
  });
}

const url = (endpoint) => (/^https?:/.test(endpoint) ? endpoint : foyer.url.replace(/\/$/, "") + endpoint);
const quoted = (stamp) => `"${String(stamp).replaceAll('"', "")}"`;
const onlyNew = { "If-None-Match": "*" };
const ifMatch = (stamp) => ({ "If-Match": quoted(stamp) });

// session does what the client's session does with a call's arguments.
async function session(method, endpoint, { data, permissions, payload, params = {}, headers = {}, auth = jeannine } = {}) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(params)) {
    if (/^(in|exclude)_/.test(name)) query.set(name, [...value].join(",")); // of a text, too;
    else query.set(name, typeof value === "string" ? value : JSON.stringify(value));
  }
  const all = { ...auth, ...headers };
  let body;
  if (!["get", "head"].includes(method)) {
    body = JSON.stringify(payload ?? { ...(data !== undefined && { data }), ...(permissions && { permissions }) });
    all["Content-Type"] ??= "application/json";
    all["Content-Length"] = Buffer.byteLength(body);
  }
  const answer = await wire(method.toUpperCase(), url(endpoint) + (query.size ? "?" + query : ""), all, body);
  const empty = [204, 304].includes(answer.status) || method === "head";
  if (!empty) assert.match(answer.headers["content-type"], /^application\/json/, `${method} ${endpoint}`);
  const said = empty ? null : JSON.parse(answer.bytes);
  if (answer.status >= 400) {
    const fault = new Error(`${answer.status} - ${JSON.stringify(said)}`);
    throw Object.assign(fault, { status: answer.status, body: said, headers: answer.headers });
  }
  return Object.assign(said ?? {}, { etag: answer.headers.etag, next: answer.headers["next-page"], status: answer.status, total: answer.headers["total-records"] });
}

// pages follows Next-Page to the end, as get_records does.
async function pages(endpoint, params = {}, headers = {}) {
  const found = new Map();
  let answer = await session("get", endpoint, { params, headers });
  const etag = answer.etag;
  for (let n = 0; ; n++) {
    for (const object of answer.data ?? []) found.set(object.id, object);
    if (!answer.next || "_limit" in params) return Object.assign([...found.values()], { etag, pages: n + 1 });
    answer = await session("get", answer.next, { headers });
  }
}

const fails = (status) => (fault) => fault.status === status;
const todos = "/buckets/default/collections/todos/records";

test("quick start: records of the default bucket are read and updated", async () => {
  assert.deepEqual([...(await pages(todos))], []);
  for (let i = 0; i < 7; i++) await session("put", `${todos}/t${i}`, { data: { title: "x" }, headers: onlyNew });
  const records = await pages(todos);
  assert.deepEqual([records.length, records.pages], [7, 2]);
  for (const [i, record] of records.entries()) {
    await session("put", `${todos}/${record.id}`, { data: { ...record, title: `Todo ${i}` }, headers: ifMatch(record.last_modified) });
  }
  assert.deepEqual((await pages(todos, { _sort: "title" })).map((r) => r.title), [0, 1, 2, 3, 4, 5, 6].map((i) => `Todo ${i}`));
});

test("server information, own headers, and who is asked for by a token that nobody gave", async () => {
  const info = await session("get", "/", { headers: { "Allow-Access": "CDN" } });
  assert.ok(info.capabilities.schema && info.capabilities.attachments && info.user.bucket && info.settings.batch_max_requests === 25);
  const nobody = await session("get", "/", { auth: { Authorization: "Bearer XYPJTNsFKV2" } });
  assert.equal(nobody.user, undefined);
});

test("buckets, groups, collections and records: made, read, changed, listed, deleted", async () => {
  const data = { color: "blue" };
  for (const [list, id] of [["/buckets", "payments"], ["/buckets/payments/groups", "writers"], ["/buckets/payments/collections", "receipts"], ["/buckets/payments/collections/receipts/records", "r-1"]]) {
    const made = await session("put", `${list}/${id}`, { data: { ...data, ...(id === "writers" && { members: ["account:jeannine"] }) }, permissions: { read: ["system.Everyone"] }, headers: onlyNew });
    assert.deepEqual([made.status, made.data.color, made.permissions.read, made.permissions.write], [201, "blue", ["system.Everyone"], ["account:jeannine"]], id);
    await assert.rejects(session("put", `${list}/${id}`, { data, headers: onlyNew }), (fault) => fault.status === 412 && fault.body.details.existing.id === id);
    const read = await session("get", `${list}/${id}`);
    assert.deepEqual(read.data, made.data);
    const put = await session("put", `${list}/${id}`, { data: { ...read.data, color: "red" }, headers: ifMatch(read.data.last_modified) });
    await assert.rejects(session("put", `${list}/${id}`, { data, headers: ifMatch(read.data.last_modified) }), fails(412));
    const patched = await session("patch", `${list}/${id}`, { payload: { data: { size: 7 } }, headers: { ...ifMatch(put.data.last_modified), "Content-Type": "application/json" } });
    assert.deepEqual([patched.data.color, patched.data.size], ["red", 7]);
    assert.ok((await pages(list)).some((object) => object.id === id));
    assert.deepEqual((await pages(list, { in_id: [id] })).map((object) => object.id), [id]);
  }
  const gone = await session("delete", "/buckets/payments/collections/receipts/records/r-1");
  assert.equal(gone.data.deleted, true);
  for (const list of ["/buckets/payments/collections/receipts/records", "/buckets/payments/collections", "/buckets/payments/groups"]) {
    assert.ok(Array.isArray((await session("delete", list)).data), list);
  }
  await session("delete", "/buckets/payments");
  // delete_bucket(if_exists=True) takes both answers for "it is not there".
  await assert.rejects(session("delete", "/buckets/payments"), (fault) => [403, 404].includes(fault.status));
});

test("permissions, and what the caller may do where", async () => {
  await session("put", "/buckets/shared", { permissions: { "collection:create": ["system.Authenticated"] }, headers: onlyNew });
  await session("patch", "/buckets/shared", { payload: { permissions: { read: ["system.Everyone"] } } });
  assert.deepEqual((await session("get", "/buckets/shared")).permissions.read, ["system.Everyone"]);
  const may = await session("get", "/permissions", { params: { _sort: "id", exclude_resource_name: ["record", "group"].join(",") } });
  assert.ok(may.data.some((entry) => entry.uri === "/buckets/shared" && entry.permissions.includes("write")));
});

test("get or create, delete if it exists", async () => {
  const path = "/buckets/default/collections/blog/records/first";
  await session("put", path, { data: { title: "first" }, headers: onlyNew });
  await assert.rejects(session("put", path, { data: { title: "again" }, headers: onlyNew }), fails(412));
  assert.equal((await session("get", path)).data.title, "first");
  await session("delete", path);
  await assert.rejects(session("delete", path), (fault) => fault.status === 404 && fault.body.details.resource_name === "record" && fault.body.errno === 110);
});

test("patches: attributes, JSON Merge Patch, JSON Patch", async () => {
  const path = "/buckets/default/collections/todo/records/p";
  const { data: made } = await session("put", path, { data: { title: "x", a: { b: 1, c: 2 }, members: ["bob"] }, headers: onlyNew });
  const { data: basicPatch } = await session("patch", path, { payload: { data: { assignee: "bob" } }, headers: { ...ifMatch(made.last_modified), "Content-Type": "application/json" } });
  assert.equal(basicPatch.assignee, "bob");
  const { data: merged } = await session("patch", path, { payload: { data: { a: { b: null } } }, headers: { "Content-Type": "application/merge-patch+json" } });
  assert.deepEqual(merged.a, { c: 2 });
  const answer = await session("patch", path, {
    payload: [
      { op: "add", path: "/data/members/0", value: "ldap:user@corp.com" },
      { op: "add", path: "/permissions/read/system.Everyone" },
    ],
    headers: { "Content-Type": "application/json-patch+json" },
  });
  assert.deepEqual([answer.data.members, answer.permissions.read], [["ldap:user@corp.com", "bob"], ["system.Everyone"]]);
});

test("concurrency control: what was deleted or changed meanwhile is told", async () => {
  const path = "/buckets/default/collections/todo/records/c";
  const { data: made } = await session("put", path, { data: {} });
  const { data: changed } = await session("put", path, { data: { x: 1 } });
  for (const method of ["put", "patch", "delete"]) {
    const body = method === "patch" ? { payload: { data: { y: 1 } } } : { data: method === "put" ? {} : undefined };
    await assert.rejects(session(method, path, { ...body, headers: ifMatch(made.last_modified) }), (fault) => fault.status === 412 && fault.body.details.existing.x === 1);
  }
  assert.equal((await session("delete", path, { headers: ifMatch(changed.last_modified) })).data.id, "c");
});

test("a batch: its paths begin without the version, and each may have headers of its own", async () => {
  await session("get", "/");
  const bodies = Array.from({ length: 3 }, (_, i) => ({ method: "PUT", path: `/buckets/default/collections/batch/records/b${i}`, body: { data: { i } }, headers: onlyNew }));
  const { responses } = await session("post", "/batch", { payload: { requests: [...bodies, { method: "GET", path: "/buckets/default/collections/batch/records", body: {} }] } });
  assert.deepEqual(responses.map((r) => r.status), [201, 201, 201, 200]);
  assert.equal(responses[3].body.data.length, 3);
  const again = await session("post", "/batch", { payload: { requests: [...bodies.slice(0, 1), { method: "PUT", path: "/buckets/default/collections/batch/records/b9", body: { data: {} } }] } });
  assert.deepEqual(again.responses.map((r) => r.status), [412, 201]);
  assert.match(again.responses[0].body.message, /modified meanwhile/);
});

test("errors: what is wrong is said with a status, a number and words", async () => {
  await assert.rejects(session("get", "/buckets/nowhere-at-all"), fails(403));
  await assert.rejects(session("get", "/buckets/default/collections/todo/records/none"), fails(404));
  await assert.rejects(session("get", todos, { auth: { Authorization: basic("nobody", "no") } }), fails(401));
  await assert.rejects(session("put", "/buckets/-bad", { data: {} }), (fault) => fault.status === 400 && fault.body.errno === 107 && fault.body.details[0].location === "path");
  const timestamp = await session("head", todos);
  assert.match(timestamp.etag, /^"\d+"$/);
  assert.equal(timestamp.total, "7");
});

test("pages: by limit, by generator, since a timestamp with and without quotes", async () => {
  const all = await pages(todos);
  assert.equal((await pages(todos, { _limit: 2 })).length, 2);
  assert.equal((await pages(todos, { _limit: 2, _sort: "-title", has_title: true, min_title: "Todo 3" })).length, 2);
  const seen = [];
  for (let next = todos; next; ) {
    const page = await session("get", next, next === todos ? { params: { _sort: "last_modified" } } : {});
    seen.push(...page.data.map((r) => r.id));
    next = page.next;
  }
  assert.equal(new Set(seen).size, all.length);
  const then = all[3].last_modified;
  for (const since of [then, String(then), quoted(then)]) {
    assert.equal((await pages(todos, { _since: since })).length, 3, String(since));
  }
  const unchanged = await session("get", todos, { headers: { "If-None-Match": quoted(all.etag) } });
  assert.equal(unchanged.status, 304);
});

test("history: read by its filters, and purged", async () => {
  await session("put", "/buckets/told", { headers: onlyNew });
  await session("put", "/buckets/told/collections/c", { headers: onlyNew });
  const { data: first } = await session("put", "/buckets/told/collections/c/records/r", { data: { v: 1 }, headers: onlyNew });
  await session("put", "/buckets/told/collections/c/records/r", { data: { v: 2 } });
  const entries = await pages("/buckets/told/history", { resource_name: "record", _since: String(first.last_modified - 1) });
  assert.deepEqual(entries.map((e) => [e.action, e.target.data.v]), [["update", 2], ["create", 1]]);
  const purged = await session("delete", "/buckets/told/history", { params: { _before: quoted(entries[0].last_modified) } });
  assert.equal(purged.data.length, 3);
  assert.deepEqual((await pages("/buckets/told/history")).map((e) => e.action), ["update"]);
});

test("attachments: sent as a form, read where the server says, removed", async () => {
  const path = "/buckets/default/collections/files/records/f";
  const edge = "1d2e6f7c8b";
  const field = (name, text) => `--${edge}\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${text}\r\n`;
  const content = Buffer.from('{"is": "a file"}');
  const form = Buffer.concat([
    Buffer.from(field("data", JSON.stringify({ type: "text" })) + field("permissions", JSON.stringify({ read: ["system.Everyone"] }))),
    Buffer.from(`--${edge}\r\nContent-Disposition: form-data; name="attachment"; filename="notes.json"\r\nContent-Type: application/json\r\n\r\n`),
    content,
    Buffer.from(`\r\n--${edge}--\r\n`),
  ]);
  await session("put", "/buckets/default/collections/files", {});
  const sent = await wire("POST", url(path + "/attachment"), { ...jeannine, "Content-Type": `multipart/form-data; boundary=${edge}`, "Content-Length": form.length }, form);
  assert.equal(sent.status, 201, sent.bytes.toString());
  const { data: record } = await session("get", path);
  assert.deepEqual([record.type, record.attachment.filename, record.attachment.size, record.attachment.mimetype], ["text", "notes.json", content.length, "application/json"]);
  assert.equal(record.attachment.hash, createHash("sha256").update(content).digest("hex"));
  const base = (await session("get", "/")).capabilities.attachments.base_url;
  const where = new URL(record.attachment.location.replace(/^\/+/, ""), base.replace(/\/$/, "") + "/");
  assert.deepEqual((await wire("GET", where, {})).bytes, content);
  assert.equal((await session("delete", path + "/attachment")).status, 204);
  assert.equal((await session("get", path)).data.attachment, null);
});

test("a review is asked for and declined by attributes of the collection", async () => {
  const path = "/buckets/default/collections/reviewed";
  await session("put", path, {});
  const { data: asked } = await session("patch", path, { payload: { data: { status: "to-review", last_editor_comment: "please" } } });
  assert.equal(asked.status, "to-review");
});

test("times are written as ISO 8601 text, and compared as text", async () => {
  const path = "/buckets/default/collections/times/records";
  for (const at of ["2026-01-01T00:00:00+00:00", "2026-06-01T00:00:00+00:00"]) await session("put", `${path}/t${at.slice(5, 7)}`, { data: { at } });
  assert.deepEqual((await pages(path, { gt_at: "2026-03-01T00:00:00+00:00" })).map((r) => r.id), ["t06"]);
});
