// What an offline-first app does with kinto.js, Kinto's own client, against a real
// Foyer: two devices that write while apart and meet again.
import "fake-indexeddb/auto";
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import Kinto from "kinto";
import KintoHttp from "kinto-http";
import { basic, start } from "./foyer.js";

const KintoApp = Kinto.default ?? Kinto;
const KintoClient = KintoHttp.default ?? KintoHttp;
const alice = { Authorization: basic("alice", "secret") };
let foyer, remote;

before(async () => {
  foyer = await start({
    KINTO_MULTIAUTH_POLICIES: "account basicauth",
    KINTO_INCLUDES: "kinto.plugins.default_bucket kinto.plugins.accounts kinto.plugins.flush kinto_attachment",
    KINTO_PAGINATE_BY: "5",
  });
  remote = foyer.url.replace(/\/$/, "");
});
after(() => foyer.stop());

let devices = 0;
// device is a browser of its own, with its own database.
function device(collection, headers = alice) {
  const app = new KintoApp({ remote, headers, bucket: "default", adapterOptions: { dbName: `device-${devices++}` } });
  return app.collection(collection);
}
const server = (collection) => new KintoClient(remote, { headers: alice }).bucket("default").collection(collection);
const titles = async (d) => (await d.list()).data.map((r) => r.title).sort();

test("what was written offline reaches the other device", async () => {
  const [phone, laptop] = [device("tasks"), device("tasks")];
  for (const title of ["milk", "bread", "eggs"]) await phone.create({ title });
  assert.deepEqual(await titles(laptop), []);
  const pushed = await phone.sync();
  assert.equal(pushed.ok, true);
  assert.equal(pushed.published.length, 3);
  const pulled = await laptop.sync();
  assert.equal(pulled.created.length, 3);
  assert.deepEqual(await titles(laptop), ["bread", "eggs", "milk"]);
  const again = await laptop.sync();
  assert.deepEqual([again.created.length, again.updated.length, again.published.length], [0, 0, 0]);
});

test("more than one page, and more than one batch", async () => {
  const [phone, laptop] = [device("many"), device("many")];
  for (let n = 0; n < 63; n++) await phone.create({ title: `t${n}`, n });
  assert.equal((await phone.sync()).published.length, 63);
  assert.equal((await laptop.sync()).created.length, 63);
  assert.deepEqual(await titles(laptop), await titles(phone));
});

test("changes and deletions travel", async () => {
  const [phone, laptop] = [device("changes"), device("changes")];
  const { data: keep } = await phone.create({ title: "keep" });
  const { data: gone } = await phone.create({ title: "gone" });
  await phone.sync();
  await laptop.sync();
  await phone.update({ ...keep, title: "kept" });
  await phone.delete(gone.id);
  const pushed = await phone.sync();
  assert.equal(pushed.published.length, 2);
  const pulled = await laptop.sync();
  assert.deepEqual([pulled.updated.length, pulled.deleted.length], [1, 1]);
  assert.deepEqual(await titles(laptop), ["kept"]);
  assert.equal((await server("changes").listRecords()).data.length, 1);
});

for (const [strategy, title] of [[KintoApp.syncStrategy.SERVER_WINS, "by laptop"], [KintoApp.syncStrategy.CLIENT_WINS, "by phone"]]) {
  test(`both changed the same record: ${strategy}`, async () => {
    const [phone, laptop] = [device(strategy), device(strategy)];
    const { data: note } = await phone.create({ title: "note" });
    await phone.sync();
    await laptop.sync();
    await laptop.update({ ...note, title: "by laptop" });
    await laptop.sync();
    await phone.update({ ...note, title: "by phone" });
    const result = await phone.sync({ strategy });
    assert.equal(result.ok, true);
    assert.equal(result.resolved.length, 1);
    await phone.sync();
    await laptop.sync();
    assert.deepEqual([await titles(phone), await titles(laptop)], [[title], [title]]);
  });
}

test("a conflict is shown to the app, which decides", async () => {
  const [phone, laptop] = [device("manual"), device("manual")];
  const { data: note } = await phone.create({ title: "note" });
  await phone.sync();
  await laptop.sync();
  await laptop.update({ ...note, title: "by laptop" });
  await laptop.sync();
  await phone.update({ ...note, title: "by phone" });
  const result = await phone.sync();
  assert.equal(result.ok, false);
  assert.equal(result.conflicts.length, 1);
  const [conflict] = result.conflicts;
  assert.deepEqual([conflict.local.title, conflict.remote.title], ["by phone", "by laptop"]);
  await phone.resolve(conflict, { ...conflict.remote, title: "by both" });
  assert.equal((await phone.sync()).ok, true);
  await laptop.sync();
  assert.deepEqual(await titles(laptop), ["by both"]);
});

test("deleted here, changed there", async () => {
  const [phone, laptop] = [device("gone"), device("gone")];
  const { data: note } = await phone.create({ title: "note" });
  await phone.sync();
  await laptop.sync();
  await laptop.delete(note.id);
  await laptop.sync();
  await phone.update({ ...note, title: "changed" });
  const result = await phone.sync({ strategy: KintoApp.syncStrategy.SERVER_WINS });
  assert.equal(result.ok, true);
  await phone.sync();
  await laptop.sync();
  assert.deepEqual((await server("gone").listRecords()).data, []);
  assert.deepEqual(await titles(laptop), []);
});

test("two devices that sync at the same moment lose nothing", async () => {
  const all = [device("race"), device("race"), device("race")];
  for (const [i, d] of all.entries()) for (let n = 0; n < 12; n++) await d.create({ title: `${i}-${n}` });
  for (let round = 0; round < 3; round++) await Promise.all(all.map((d) => d.sync({ strategy: KintoApp.syncStrategy.CLIENT_WINS })));
  for (const d of all) await d.sync();
  for (const d of all) assert.equal((await titles(d)).length, 36);
});

test("If-Match: of those who change the same version, one wins", async () => {
  const list = server("ifmatch");
  const { data: note } = await list.createRecord({ title: "note" });
  const results = await Promise.allSettled(Array.from({ length: 8 }, (_, n) => list.updateRecord({ ...note, n }, { safe: true })));
  assert.equal(results.filter((r) => r.status === "fulfilled").length, 1);
  for (const r of results) if (r.status === "rejected") assert.equal(r.reason.response?.status, 412);
});

test("a server that was flushed is noticed, and filled again", async () => {
  const phone = device("flushed");
  await phone.create({ title: "mine" });
  await phone.sync();
  await phone.sync();
  const answer = await fetch(`${remote}/__flush__`, { method: "POST" });
  assert.equal(answer.status, 202);
  await assert.rejects(phone.sync(), (e) => /flushed/i.test(e.message));
  await phone.resetSyncStatus();
  assert.equal((await phone.sync()).published.length, 1);
  const laptop = device("flushed");
  await laptop.sync();
  assert.deepEqual(await titles(laptop), ["mine"]);
});

test("somebody else sees nothing of it", async () => {
  const theirs = device("tasks", { Authorization: basic("mallory", "x") });
  const result = await theirs.sync();
  assert.equal(result.created.length, 0);
});
