// The page of the machine, in a real browser: one light, jobs that owners start, and the same
// figures by every door.
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { ask, binary, browser, claims, start, words } from "./foyer.js";
import * as look from "./look.js";

// claimed is a server whose owner is jeannine, and a browser she is signed in with.
async function claimed(t, settings) {
  const server = await start(settings);
  t.after(() => server.stop());
  const owner = await claims(t, server);
  return { server, owner, page: owner.page };
}

// fill stores so many records, in batches.
async function fill(server, records) {
  for (const path of ["buckets/b", "buckets/b/collections/c"]) assert.equal(await ask(server, "PUT", path, "jeannine", words), 201);
  const batches = Array.from({ length: records / 25 }, (_, i) => i * 25);
  await Promise.all(
    Array.from({ length: 8 }, async () => {
      for (let from = batches.pop(); from !== undefined; from = batches.pop()) {
        const requests = Array.from({ length: 25 }, (_, i) => ({ path: `/buckets/b/collections/c/records/r${from + i}`, body: { data: { text: `milk, bread and ${from + i} eggs` } } }));
        assert.equal(await ask(server, "POST", "batch", "jeannine", words, JSON.stringify({ defaults: { method: "PUT" }, requests })), 200);
      }
    }),
  );
}

test("the owner sees how the machine is, and has it do things", async (t) => {
  const { server, owner, page } = await claimed(t);
  await page.click("nav >> text=Server");
  await page.waitForURL(/machine$/);
  assert.match(await page.textContent("main"), /All is well/);
  assert.match(await page.textContent("#live-lately"), /jeannine became the owner/);
  await look.at(page, server.url + "/machine", "machine");

  await page.selectOption("form:has(input[value=check-database]) select", "full");
  await page.click("form:has(input[value=check-database]) button");
  await page.waitForURL(/job\?id=/);
  await page.waitForSelector("text=Nothing is damaged");
  assert.match(await page.textContent("main"), /Asked for by jeannine/);
  await look.now(page, "job", "en");

  await page.goto(server.url + "/machine");
  await page.click("form:has(input[value=what-takes-room]) button");
  await page.waitForURL(/job\?id=/);
  await page.waitForSelector("text=free on the disk of the data");
  await look.now(page, "room", "en");

  await page.goto(server.url + "/machine");
  assert.match(await page.textContent("#live-lately"), /jeannine asked for this on a page: Check the database/);

  await owner.close();
  const plain = await browser(server, { scripts: false });
  t.after(() => plain.close());
  await plain.page.goto(server.url + "/signin?next=/machine");
  await plain.page.fill("#name", "jeannine");
  await plain.page.fill("#password", words);
  await plain.page.click("form#with-passkey button[type=submit]");
  await plain.page.waitForURL(/machine$/);
  await plain.page.selectOption("form:has(input[value=check-database]) select", "quick");
  await plain.page.click("form:has(input[value=check-database]) button");
  await plain.page.waitForURL(/job\?id=/);
  await plain.page.waitForSelector("text=Nothing is damaged"); // the browser gets the page again by itself
});

// follow runs a command that shows how a job goes.
function follow(t, command, args) {
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "inherit"], env: { ...process.env, TERM: "xterm-256color", LANG: "C.UTF-8", LC_ALL: "C.UTF-8" } });
  let said = "";
  child.stdout.on("data", (part) => (said += part));
  t.after(() => child.kill());
  return { child, ended: once(child, "exit"), text: () => said };
}

// terminal runs a command on a terminal of its own; now() is what its screen shows.
function terminal(t, command) {
  const socket = join(mkdtempSync(join(tmpdir(), "foyer-screen-")), "tmux");
  const tmux = (...args) => execFileSync("tmux", ["-f", "/dev/null", "-S", socket, ...args], { encoding: "utf8", env: { ...process.env, TERM: "xterm-256color", LANG: "C.UTF-8", LC_ALL: "C.UTF-8" } });
  tmux("new-session", "-d", "-x", "140", "-y", "50", ...command);
  t.after(() => {
    tmux("kill-server");
    rmSync(dirname(socket), { recursive: true });
  });
  return { now: () => tmux("capture-pane", "-p") };
}

const figure = /(\d+)% \((\d+) of (\d+) objects\)/;
const pause = (ms) => new Promise((then) => setTimeout(then, ms));

// until waits: with patience, which judges no speed.
async function until(what, is) {
  for (const end = Date.now() + 180_000; Date.now() < end; await pause(100)) if (await is()) return;
  throw new Error(`not within three minutes: ${what}`);
}

// slowly lets a process run a small part of the time, so that there is time to look at what it
// does; it returns a function that ends that.
function slowly(pid) {
  let on = true;
  const held = (async () => {
    while (on) {
      process.kill(pid, "SIGSTOP");
      await pause(195);
      process.kill(pid, "SIGCONT");
      await pause(5);
    }
  })();
  return async () => {
    on = false;
    await held;
  };
}

test("one job is seen by every door at the same time, with the same figures", async (t) => {
  const records = process.env.SHOW_WHOLE ? 200_000 : 100_000;
  const { server, page } = await claimed(t);
  await fill(server, records);
  const run = ["--run", server.run];

  await page.goto(server.url + "/machine");
  await page.selectOption("form:has(input[value=check-database]) select", "full");
  const screen = terminal(t, [binary, "--lang", "en", ...run]);
  await until("the dashboard is there", () => screen.now().includes("Address"));
  const { pid } = JSON.parse(execFileSync(binary, ["status", "--json", ...run], { encoding: "utf8" })).server;
  const fast = slowly(pid);
  await page.click("form:has(input[value=check-database]) button");
  await page.waitForURL(/job\?id=/);
  const id = new URL(page.url()).searchParams.get("id");
  const json = follow(t, binary, ["jobs", "follow", id, "--json", ...run]);
  const lines = follow(t, binary, ["jobs", "follow", id, "--lang", "en", ...run]);
  const shown = [];
  const drawn = [];
  await until("the job has ended", async () => {
    shown.push(await page.textContent("#live-job"));
    drawn.push(screen.now());
    return shown.at(-1).includes("Nothing is damaged");
  });
  await Promise.all([json.ended, lines.ended]);
  await fast();
  await page.waitForSelector("text=done");
  const states = json.text().trim().split("\n").map((line) => JSON.parse(line));
  assert.equal(states.at(-1).state, "done");
  const known = new Set(states.map(({ done }) => done));
  const counts = {};
  for (const [door, text] of Object.entries({ page: shown.join("\n"), lines: lines.text(), dashboard: drawn.join("\n") })) {
    const figures = new Map([...text.matchAll(new RegExp(figure, "g"))].map((m) => [m[0], m.slice(1).map(Number)]));
    counts[door] = figures.size;
    assert.ok(figures.size > 0, `${door} shows no figure: ${text.slice(-2000)}`);
    for (const [said, [percent, done, of]] of figures) {
      assert.ok(states.some((state) => state.of === of), `${door} shows ${said}, of another number than ${states.map((state) => state.of)}`);
      assert.equal(percent, Math.floor((100 * done) / of), `${door} shows ${said}`);
    }
    // Each shows what the record was at a moment: no figure is made up on the way. The stream
    // need not have had every one of them.
    assert.ok([...figures.values()].some(([, done]) => known.has(done)), `${door} shows nothing that the record was: ${[...figures.keys()]}; ${[...known]}`);
  }
  console.log(`SHOW one job of ${records} records, seen at the same time: ${known.size} figures by --json, ${counts.lines} in plain lines, ${counts.dashboard} on the dashboard, ${counts.page} on the page: the same`);
});
