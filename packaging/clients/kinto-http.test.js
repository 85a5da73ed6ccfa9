// What an app does with Kinto's own client, kinto-http, against a real Foyer.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import Kinto from "kinto-http";
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
