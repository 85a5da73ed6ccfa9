// An owner changes how the server is reached, in a real browser: the product's own questions
// and plans, and a stand-in for root (standin.js).
import assert from "node:assert/strict";
import { test } from "node:test";
import { browser, claims, start, words } from "./foyer.js";
import * as look from "./look.js";
import { standin } from "./standin.js";

const token = "a-token-of-duckdns-17";
const main = (page) => page.textContent("main");

async function signIn(page) {
  for (const [id, value] of Object.entries({ name: "jeannine", password: words })) await page.fill("#" + id, value);
  await page.click("form#with-passkey button[type=submit]");
}

// claimed is a server whose owner is jeannine, with a machine whose settings may be changed,
// and a browser she is signed in with.
async function claimed(t) {
  const server = await start();
  t.after(() => server.stop());
  const root = await standin(server);
  t.after(() => root.stop());
  const { page } = await claims(t, server);
  return { server, root, page };
}

test("a home server gets a name, and it goes back", async (t) => {
  const { server, root, page } = await claimed(t);
  const asked = [];
  page.on("request", (r) => asked.push(r.url()));
  await page.goto(server.url + "/machine");
  await page.click("text=Change how this server is reached…");
  await page.waitForURL(server.url + "/change");
  await look.at(page, server.url + "/change", "change");
  assert.equal(await page.locator("input[type=radio]:checked").getAttribute("value"), "home");
  await page.check("text=At home, reachable from anywhere");
  await page.click("main form button");
  await page.waitForSelector("text=Which web address?");
  assert.equal(await page.isVisible("text=Port for HTTPS"), false, "what nobody has to answer is folded away");
  await page.click("main form button");
  await page.waitForSelector("text=An answer is needed here.");
  await page.fill("text=Which web address?", "nas");
  await page.click("main form button");
  await page.waitForSelector("text=A dot is missing");
  await look.now(page, "change-wrong", "en");
  await page.fill("text=Which web address?", "ours.duckdns.org");
  await page.click("main form button");
  await page.waitForSelector("text=there is more to ask");
  await look.now(page, "change-more", "en");
  await page.fill("input[type=password]", token);
  await page.click("main form button");
  await page.waitForSelector("text=This is what changes");
  await look.at(page, server.url + "/change", "change-plan"); // the answers are still there
  await page.click("text=Change the answers");
  await page.waitForSelector("text=Which web address?");
  await page.fill("input[type=password]", token);
  await page.click("details summary");
  await look.now(page, "change-answers", "en");
  await page.click("main form button");

  root.fresh = false;
  await page.click("text=Change it now");
  await page.waitForURL(/signin\?again=1/);
  await signIn(page);
  await page.waitForURL(server.url + "/change");
  assert.match(await main(page), /Type it once more/);
  assert.equal(await page.inputValue("text=Which web address?"), "ours.duckdns.org");
  root.fresh = true;
  await page.fill("input[type=password]", token);
  await page.click("main form button");
  await page.click("text=Change it now");
  await page.waitForSelector("#link");
  assert.deepEqual(root.values, { where: "reachable", addresses: "ours.duckdns.org", "dns.credentials": token });
  const link = (await page.textContent("#link")).trim();
  assert.equal(link, `https://ours.duckdns.org:${new URL(server.url).port}/change/keep?code=${root.code}`);
  await look.now(page, "change-begun", "en");
  const shown = await page.content();
  assert.ok(!shown.includes(token) && !asked.some((url) => url.includes(token) || url.includes(root.code)), "a secret is on a page or in an address");

  // This address goes away by the change, and comes back.
  await page.route(server.url + "/change", (route) => route.abort());
  await page.waitForSelector("[data-away]:visible");
  assert.equal((await page.textContent("#link")).trim(), link, "the link is still there");
  await look.now(page, "change-away", "en");
  root.stands("waiting", { until: new Date(Date.now() + 90_000).toISOString() });
  await page.unroute(server.url + "/change");
  await page.waitForSelector("[data-away]", { state: "hidden" });
  await page.waitForSelector("text=waits for you to confirm it");
  await look.now(page, "change-waits", "en");
  const tab = await page.context().newPage();
  await look.at(tab, server.url + "/", "change-home");
  await look.at(tab, server.url + "/machine", "change-machine");
  await look.at(tab, server.url + "/change", "change-without-link");
  assert.equal(await tab.locator("#link").count(), 0, "the code is told once");
  await tab.click("text=Undo it now");
  await tab.waitForSelector("text=everything is as it was");
  await page.waitForSelector("text=everything is as it was");
  await page.waitForSelector("#link", { state: "detached" });
  await look.now(page, "change-ended", "en");
  await look.at(tab, server.url + "/change", "change-back");
});

test("without scripts, and confirmed by a browser that is not signed in", async (t) => {
  const { server, root } = await claimed(t);
  const plain = await browser(server, { scripts: false });
  t.after(() => plain.close());
  const { page } = plain;
  await page.goto(server.url + "/signin?next=/change");
  await signIn(page);
  await page.waitForURL(server.url + "/change");
  await page.click("main form button");
  await page.check("text=Français >> nth=0");
  await page.click("main form button");
  await page.waitForSelector("text=This is what changes");
  await page.click("text=Change it now");
  const link = (await page.textContent("#link")).trim();
  assert.equal(link, `${server.url}/change/keep?code=${root.code}`);
  root.stands("waiting", { until: new Date(Date.now() + 600_000).toISOString() });

  const other = await browser(server);
  t.after(() => other.close());
  await other.page.goto(link);
  assert.equal(root.at, undefined, "getting the page confirms nothing");
  await look.at(other.page, link, "keep");
  await look.at(other.page, server.url + "/change/keep", "keep-no-code");
  await other.page.fill("#code", "NOT-THE-CODE");
  await other.page.click("main button");
  await other.page.waitForSelector("#problem");
  await look.now(other.page, "keep-wrong", "en");
  await other.page.goto(link);
  await other.page.click("main button");
  await other.page.waitForSelector("text=The change is confirmed");
  assert.equal(root.at, server.url);
  await look.now(other.page, "kept", "en");
  await page.goto(server.url + "/change");
  assert.match(await main(page), /it stays/);
});

test.after(() => {
  console.log(`SHOW a change of mind in Chromium: asked, seen, signed in again, begun, its address gone and back, undone, and another one kept by its link: ${look.seen.pages.size} pages, ${look.seen.pictures} pictures, ${look.seen.checks} times axe-core, no violation`);
});
