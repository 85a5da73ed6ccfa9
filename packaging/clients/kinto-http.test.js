// What an app does with Kinto's own client, kinto-http, against a real Foyer.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import Kinto from "kinto-http";
import nodeFetch from "node-fetch";
import { basic, jeannine, start } from "./foyer.js";

const KintoClient = Kinto.default ?? Kinto;
let foyer, client, notes;

before(async () => {
  foyer = await start();
  client = new KintoClient(foyer.url.replace(/\/$/, ""), { headers: jeannine });
  await client.createBucket("family");
  await client.bucket("family").createCollection("notes");
  notes = client.bucket("family").collection("notes");
});
after(() => foyer.stop());

test("hello names the caller", async () => {
  const user = await client.fetchUser();
  assert.equal(user.id, "account:jeannine");
  assert.match(await client.fetchHTTPApiVersion(), /^1\./);
});

test("a record is created, read, changed and deleted", async () => {
  const { data: made } = await notes.createRecord({ id: "milk", text: "buy milk" });
  assert.equal(made.text, "buy milk");
  const { data: read } = await notes.getRecord("milk");
  assert.deepEqual(read, made);
  const { data: put } = await notes.updateRecord({ id: "milk", text: "bought" });
  assert.ok(put.last_modified > made.last_modified);
  const { data: patched } = await notes.updateRecord({ id: "milk", done: true }, { patch: true });
  assert.deepEqual([patched.text, patched.done], ["bought", true]);
  const { data: gone } = await notes.deleteRecord("milk");
  assert.equal(gone.deleted, true);
  await assert.rejects(notes.getRecord("milk"), (e) => e.response?.status === 404);
});

test("safe writes do not overwrite what somebody else wrote", async () => {
  const { data: mine } = await notes.createRecord({ id: "list", text: "1" });
  await notes.updateRecord({ id: "list", text: "2" });
  await assert.rejects(notes.updateRecord({ ...mine, text: "3" }, { safe: true }), (e) => e.response?.status === 412);
  await assert.rejects(notes.createRecord({ id: "list" }, { safe: true }), (e) => e.response?.status === 412);
  assert.equal((await notes.getRecord("list")).data.text, "2");
});

test("a pull since a timestamp brings what changed, deletions too", async () => {
  const { last_modified: then } = await notes.listRecords();
  await notes.createRecord({ id: "new" });
  await notes.createRecord({ id: "gone" });
  await notes.deleteRecord("gone");
  const { data } = await notes.listRecords({ since: then });
  assert.deepEqual(data.map((r) => [r.id, r.deleted ?? false]), [["gone", true], ["new", false]]);
});

test("who does not belong gets nothing", async () => {
  for (const headers of [{}, { Authorization: basic("jeannine", "wrong") }, { Authorization: basic("nobody", "x") }]) {
    const stranger = new KintoClient(foyer.url.replace(/\/$/, ""), { headers });
    await assert.rejects(stranger.bucket("family").collection("notes").listRecords(), (e) => e.response?.status === 401);
    await assert.rejects(stranger.createBucket("mine"), (e) => e.response?.status === 401);
  }
});

test("permissions open a record to everybody", async () => {
  await notes.createRecord({ id: "open", text: "hello" }, { permissions: { read: ["system.Everyone"] } });
  const stranger = new KintoClient(foyer.url.replace(/\/$/, ""));
  const theirs = stranger.bucket("family").collection("notes");
  assert.equal((await theirs.getRecord("open")).data.text, "hello");
  assert.deepEqual((await theirs.listRecords()).data.map((r) => r.id), ["open"]);
  await assert.rejects(theirs.updateRecord({ id: "open", text: "x" }), (e) => [401, 403].includes(e.response?.status));
});

test("a batch is done as one", async () => {
  const answers = await client.bucket("family").batch((b) => {
    for (let i = 0; i < 60; i++) b.collection("notes").createRecord({ id: `many-${i}`, n: i });
  });
  assert.equal(answers.length, 60);
  assert.ok(answers.every((a) => a.status === 201));
});

test("pages, filters and order", async () => {
  const first = await notes.listRecords({ filters: { min_n: 10 }, sort: "n", limit: 20 });
  assert.deepEqual(first.data.map((r) => r.n), Array.from({ length: 20 }, (_, i) => 10 + i));
  assert.ok(first.hasNextPage);
  const second = await first.next();
  assert.equal(second.data[second.data.length - 1].n, 49);
  const all = await notes.listRecords({ filters: { min_n: 10, has_n: true }, sort: "-n", limit: 7, pages: Infinity });
  assert.deepEqual(all.data.map((r) => r.n), Array.from({ length: 50 }, (_, i) => 59 - i));
  assert.ok((await notes.getTotalRecords()) >= 60);
});

test("a group's members may do what the group may", async () => {
  const guests = await start({ KINTO_MULTIAUTH_POLICIES: "account basicauth" });
  try {
    const url = guests.url.replace(/\/$/, "");
    const owner = new KintoClient(url, { headers: jeannine });
    const paul = new KintoClient(url, { headers: { Authorization: basic("paul", "anything") } });
    const { id } = await paul.fetchUser();
    await owner.createBucket("shared");
    await owner.bucket("shared").createGroup("friends", [id]);
    await owner.bucket("shared").createCollection("list", { permissions: { write: ["/buckets/shared/groups/friends"] } });
    const theirs = paul.bucket("shared").collection("list");
    assert.equal((await theirs.createRecord({ text: "bread" })).data.text, "bread");
    await owner.bucket("shared").deleteGroup("friends");
    await assert.rejects(theirs.createRecord({ text: "more" }), (e) => e.response?.status === 403);
  } finally {
    await guests.stop();
  }
});

test("permissions are added and taken away", async () => {
  await notes.addPermissions({ read: ["system.Authenticated"] });
  assert.deepEqual((await notes.getPermissions()).read, ["system.Authenticated"]);
  await notes.removePermissions({ read: ["system.Authenticated"] });
  assert.equal((await notes.getPermissions()).read, undefined);
});

test("files beside records, history, and the past of a collection", async () => {
  const server = await start({
    KINTO_INCLUDES: "kinto.plugins.default_bucket kinto.plugins.accounts kinto.plugins.history kinto_attachment",
  });
  try {
    // Under Node this client makes forms that only node-fetch sends as such.
    const owner = new KintoClient(server.url.replace(/\/$/, ""), { headers: jeannine, fetchFunc: nodeFetch });
    await owner.createBucket("b");
    const bucket = owner.bucket("b");
    await bucket.createCollection("c");
    const list = bucket.collection("c");
    const dataURL = "data:text/plain;name=note.txt;base64," + Buffer.from("hello").toString("base64");
    await list.addAttachment(dataURL, { id: "with-file", title: "x" });
    const { data } = await list.getRecord("with-file");
    assert.deepEqual([data.title, data.attachment.filename, data.attachment.size], ["x", "note.txt", 5]);
    assert.equal(await (await fetch(data.attachment.location)).text(), "hello");
    await list.removeAttachment("with-file");
    assert.equal((await list.getRecord("with-file")).data.attachment, null);

    await list.createRecord({ id: "r", n: 1 });
    const { last_modified: then } = await list.listRecords();
    await list.updateRecord({ id: "r", n: 2 });
    await list.createRecord({ id: "later" });
    const past = await list.listRecords({ at: Number(then) });
    assert.deepEqual(past.data.map((r) => [r.id, r.n]).sort(), [["r", 1], ["with-file", undefined]]);
    const { data: entries } = await bucket.listHistory({ filters: { resource_name: "record", record_id: "r" } });
    assert.deepEqual(entries.map((e) => [e.action, e.user_id]), [["update", "account:jeannine"], ["create", "account:jeannine"]]);
  } finally {
    await server.stop();
  }
});

test("what I may do, and where", async () => {
  const server = await start({ KINTO_EXPERIMENTAL_PERMISSIONS_ENDPOINT: "true" });
  try {
    const owner = new KintoClient(server.url.replace(/\/$/, ""), { headers: jeannine });
    await owner.createBucket("b");
    await owner.bucket("b").createCollection("c");
    const { data } = await owner.listPermissions();
    const bucket = data.find((p) => p.uri === "/buckets/b");
    assert.ok(bucket.permissions.includes("collection:create"));
    assert.ok(data.some((p) => p.uri === "/buckets/b/collections/c" && p.permissions.includes("record:create")));
  } finally {
    await server.stop();
  }
});

test("accounts: made by anybody where the settings say so, and changed by their own", async () => {
  const server = await start({ KINTO_ACCOUNT_CREATE_PRINCIPALS: "system.Everyone" });
  try {
    const url = server.url.replace(/\/$/, "");
    await new KintoClient(url).createAccount("paul", "first password");
    const as = (word) => new KintoClient(url, { headers: { Authorization: basic("paul", word) } });
    assert.equal((await as("first password").fetchUser()).id, "account:paul");
    const changed = await fetch(`${url}/accounts/paul`, {
      method: "PATCH", body: JSON.stringify({ data: { password: "second password" } }),
      headers: { Authorization: basic("paul", "first password"), "Content-Type": "application/json" },
    });
    assert.equal(changed.status, 200);
    assert.equal((await as("second password").fetchUser()).id, "account:paul");
    assert.equal(await as("first password").fetchUser(), undefined);
    await assert.rejects(new KintoClient(url).createAccount("paul", "stolen"), (e) => e.response?.status === 401);
  } finally {
    await server.stop();
  }
});

test("a collection's schema is kept to", async () => {
  const server = await start({ KINTO_EXPERIMENTAL_COLLECTION_SCHEMA_VALIDATION: "true" });
  try {
    const owner = new KintoClient(server.url.replace(/\/$/, ""), { headers: jeannine });
    await owner.createBucket("b");
    await owner.bucket("b").createCollection("c", { data: { schema: { type: "object", required: ["title"], properties: { title: { type: "string" } } } } });
    const list = owner.bucket("b").collection("c");
    await list.createRecord({ title: "good" });
    await assert.rejects(list.createRecord({ title: 1 }), (e) => e.response?.status === 400);
    await assert.rejects(list.createRecord({}), (e) => e.response?.status === 400);
  } finally {
    await server.stop();
  }
});
