// Devices with kinto.js that had seen more than the backup has which their server was
// brought back from.
import "fake-indexeddb/auto";
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import Kinto from "kinto";
import KintoHttp from "kinto-http";
import { basic, copy, restore, start } from "./foyer.js";

const KintoApp = Kinto.default ?? Kinto;
const KintoClient = KintoHttp.default ?? KintoHttp;
const headers = { Authorization: basic("alice", "secret") };
const settings = { KINTO_MULTIAUTH_POLICIES: "account basicauth", KINTO_INCLUDES: "kinto.plugins.default_bucket kinto.plugins.accounts", KINTO_PAGINATE_BY: "3", FOYER_DATABASE: "" };
const remoteOf = (foyer) => foyer.url.replace(/\/$/, "");

let databases = 0;
// device is a browser of its own; it keeps its database when the server has another address.
function device() {
  const dbName = `restored-${databases++}`;
  const self = {
    flushed: 0,
    at(foyer) {
      self.tasks = new KintoApp({ remote: remoteOf(foyer), headers, bucket: "default", adapterOptions: { dbName } }).collection("tasks");
    },
    async write(title) {
      return (await self.tasks.create({ title, edited: ++edits })).data;
    },
    async change(record, title) {
      await self.tasks.update({ ...(await self.tasks.get(record.id)).data, title, edited: ++edits });
    },
    titles: async () => (await self.tasks.list()).data.map((r) => r.title).sort(),
    // sync does what kinto.js tells apps to: it begins anew where the server was flushed, and
    // of two versions takes the one that was written last.
    async sync() {
      for (let round = 0; ; round++) {
        assert.ok(round < 10, "it does not come to an end");
        let result;
        try {
          result = await self.tasks.sync();
        } catch (e) {
          assert.equal(e.constructor.name, "ServerWasFlushedError", e.stack);
          self.flushed++;
          await self.tasks.resetSyncStatus();
          continue;
        }
        if (result.ok) return result;
        assert.ok(result.conflicts.length > 0, JSON.stringify(result.errors));
        for (const conflict of result.conflicts) {
          const { local, remote } = conflict;
          await self.tasks.resolve(conflict, !remote || local?.edited > remote.edited ? local : remote);
        }
      }
    },
  };
  return self;
}
let edits = 0;

const skip = process.env.FOYER_TEST_POSTGRES && "a restore makes a file of SQLite";
for (const order of [["phone", "laptop", "still"], ["laptop", "phone", "still"], ["still", "laptop", "phone"], ["phone", "still", "laptop"]]) {
  test(`devices that had seen more than a backup agree again: ${order.join(", ")}`, { skip }, async () => {
    const all = { phone: device(), laptop: device(), still: device() };
    const { phone, laptop, still } = all;
    const folder = mkdtempSync(join(tmpdir(), "foyer-restored-"));
    let foyer = await start(settings);
    try {
      for (const d of Object.values(all)) d.at(foyer);
      const milk = await phone.write("milk");
      const bread = await phone.write("bread");
      for (let n = 0; n < 5; n++) await phone.write(`t${n}`);
      for (const d of Object.values(all)) await d.sync();
      const backup = await copy(foyer);
      // What is written from here on is in no backup.
      await phone.write("by phone");
      await phone.change(milk, "milk, changed by phone");
      await phone.sync();
      await laptop.sync();
      await laptop.write("by laptop");
      await laptop.change(bread, "bread, changed by laptop");
      await laptop.sync();
      await phone.sync();
      await laptop.change(milk, "milk, changed by laptop");
      await laptop.write("by laptop, seen by nobody");
      await laptop.sync();
      await phone.write("by phone, offline");
      await still.write("by the one that stood still, offline");
      await foyer.stop();

      restore(backup, join(folder, "data"));
      foyer = await start(settings, ["--data", join(folder, "data")]);
      for (const d of Object.values(all)) d.at(foyer);
      for (const name of order) await all[name].sync();
      for (const name of order) await all[name].sync();
      const want = ["bread, changed by laptop", "by laptop", "by laptop, seen by nobody", "by phone", "by phone, offline", "by the one that stood still, offline", "milk, changed by laptop", "t0", "t1", "t2", "t3", "t4"];
      for (const [name, d] of Object.entries(all)) assert.deepEqual(await d.titles(), want, name);
      const { data } = await new KintoClient(remoteOf(foyer), { headers }).bucket("default").collection("tasks").listRecords({ limit: 100, pages: Infinity });
      assert.deepEqual(data.map((r) => r.title).sort(), want);
      assert.deepEqual([phone.flushed, laptop.flushed, still.flushed], [1, 1, 0]);
    } finally {
      await foyer.stop();
      rmSync(folder, { recursive: true });
    }
  });
}
