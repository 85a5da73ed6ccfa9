// A family with a real browser on each of its devices.
import assert from "node:assert/strict";
import { test } from "node:test";
import { ask, authenticator, browser, start } from "./foyer.js";
import * as look from "./look.js";

const words = "correct horse battery";
const heading = (page) => page.locator("h1").textContent();
const home = (server) => (url) => url.href === server.url + "/";

async function withPassword(page, fields) {
  for (const [id, value] of Object.entries(fields)) await page.fill("#" + id, value);
  await page.click("form#with-passkey button[type=submit]");
}

test("a family moves in", async (t) => {
  // What comes after a step that failed would fail for no reason of its own.
  let whole = true;
  const step = (name, run) =>
    t.test(name, { skip: !whole }, async () => {
      whole = false;
      await run();
      whole = true;
    });
  const server = await start();
  t.after(() => server.stop());
  const owner = await browser(server);
  t.after(() => owner.close());
  const { page } = owner;
  await authenticator(owner.context, page);

  await step("the first visitor sees the claim and nothing else", async () => {
    await page.goto(server.url + "/people");
    assert.match(await page.content(), /no owner yet/);
    await look.at(page, server.url + "/claim", "claim");
    await look.at(page, server.url + "/trust", "trust");
    await page.route("**/start.js*", (route) => route.abort()); // which would go on at once: this device trusts already
    await look.at(page, server.url + "/start", "start");
  });

  await step("the owner claims with a passkey; the code leaves the address", async () => {
    await page.goto(`${server.url}/#claim=${server.code}`);
    assert.equal(await page.inputValue("#code"), server.code);
    assert.equal(new URL(page.url()).hash, "");
    await page.fill("#name", "jeannine");
    await page.click("#passkey");
    await page.waitForURL(home(server));
    assert.match(await page.textContent("main"), /All is well/);
    await look.at(page, server.url + "/", "home");
    await page.goto(server.url + "/account");
    assert.match(await page.textContent("main"), /You have none: you sign in by passkey/);
  });

  await step("she signs out, and in by the passkey; its answer is good once", async () => {
    let sent;
    page.on("request", (r) => {
      if (r.method() === "POST" && r.url().endsWith("/signin")) sent = r.postData();
    });
    await page.click("header button");
    await page.waitForURL(/signin$/);
    await look.at(page, server.url + "/signin", "signin");
    await page.click("#passkey");
    await page.waitForURL(home(server));
    assert.ok(sent.includes("authenticatorData"), sent);
    const again = await page.evaluate(
      (body) => fetch("/signin", { method: "POST", body, headers: { "Content-Type": "application/x-www-form-urlencoded" } }).then((r) => r.status), sent);
    assert.equal(again, 403);
    const scripts = await page.evaluate(() => document.cookie);
    assert.ok(!scripts.includes("__Host-foyer"), scripts);
  });

  let link;
  await step("she invites Paul", async () => {
    await look.at(page, server.url + "/people", "people");
    await page.fill("#for", "Paul");
    await page.click("main form[action='/people'] button");
    link = (await page.textContent("#link")).trim();
    assert.match(link, new RegExp(`^${server.url}/join#code=[A-Z2-7]{26}$`));
    assert.equal(await page.locator(".qr svg").count(), 1);
    await look.now(page, "people-link", "en");
  });

  const paul = await browser(server, { locale: "fr-FR" });
  t.after(() => paul.close());
  await step("Paul comes in, with a password, in French", async () => {
    await paul.page.goto(link);
    assert.equal(new URL(paul.page.url()).hash, "");
    assert.equal(await heading(paul.page), "Entrez");
    await look.now(paul.page, "join", "fr");
    await withPassword(paul.page, { name: "paul", password: "court", again: "court" });
    assert.equal(await paul.page.locator("input:invalid").count() > 0, true, "a short password is noticed before it is sent");
    await withPassword(paul.page, { name: "paul", password: words, again: words + "!" });
    await paul.page.waitForSelector("#problem");
    await look.now(paul.page, "join-problem", "fr");
    await withPassword(paul.page, { password: words, again: words });
    await paul.page.waitForURL(home(server));
    assert.match(await paul.page.textContent("main"), /Tout va bien/);
    assert.doesNotMatch(await paul.page.textContent("nav"), /Personnes/);
    await paul.page.goto(server.url + "/people");
    assert.match(await paul.page.textContent("main"), /pour les propriétaires/);
    await look.now(paul.page, "owners-only", "fr");
    await look.at(paul.page, server.url + "/join", "join-empty");
  });

  await step("Paul connects an app, and takes it back", async () => {
    const p = paul.page;
    await look.at(p, server.url + "/apps", "apps");
    assert.equal((await p.textContent("#address")).trim(), server.url + "/v1/");
    await p.fill("#label", "notes");
    await p.click("main form[action='/apps'] button");
    const password = (await p.textContent("#app-password")).trim();
    assert.match(password, /^app(-[a-z2-7]{5}){5}$/);
    await look.now(p, "apps-password", "en");
    await paul.context.grantPermissions(["clipboard-read", "clipboard-write"]);
    await p.click("[data-copy=app-password]");
    assert.equal(await p.evaluate(() => navigator.clipboard.readText()), password);
    assert.equal(await ask(server, "PUT", "buckets/notes", "paul", password), 201);
    assert.equal(await ask(server, "GET", "buckets/notes", "paul", password), 200);
    assert.equal(await ask(server, "GET", "accounts/paul", "paul", password), 403);
    await look.at(p, server.url + "/apps", "apps-list");
    await p.click("main form[action='/apps/revoke'] button");
    await p.waitForURL(server.url + "/apps");
    assert.equal(await ask(server, "GET", "buckets/notes", "paul", password), 401);
  });

  await step("Paul makes a passkey later, and removes it", async () => {
    const p = paul.page;
    await authenticator(paul.context, p);
    await p.goto(server.url + "/account");
    await p.click("#passkey");
    await p.waitForSelector("form[action='/account/passkey/remove']");
    await look.at(p, server.url + "/account", "account");
    await p.click("form[action='/account/passkey/remove'] button");
    await p.waitForSelector("form[action='/account/passkey/remove']", { state: "detached" });
  });

  await step("she makes a reset link for Paul, and then removes him", async () => {
    await page.goto(server.url + "/people");
    await page.click("main .rows a:text('paul')");
    await page.waitForSelector("form[action='/person/remove']");
    assert.match(await page.textContent("main"), /What happens to their data/);
    await look.at(page, server.url + "/person?name=paul", "person");
    await page.click("form[action='/person/reset'] button");
    const reset = (await page.textContent("#link")).trim();
    await paul.page.goto(reset);
    await look.now(paul.page, "reset", "en");
    await withPassword(paul.page, { password: "another one", again: "another one" });
    await paul.page.waitForURL(home(server));
    await page.check("#sure");
    await page.click("form[action='/person/remove'] button");
    await page.waitForURL(server.url + "/people");
    await paul.page.goto(server.url + "/apps");
    assert.match(paul.page.url(), /signin/);
  });

  await step("she lost her passkey: a code from the server, and a password", async () => {
    await owner.context.clearCookies();
    await page.goto(server.url + "/reset?lang=en");
    await withPassword(page, { code: server.reset(), password: words, again: words });
    await page.waitForURL(home(server));
    assert.equal(await ask(server, "GET", "", "jeannine", words), 200);
    await look.at(page, server.url + "/", "home-later");
    await owner.context.clearCookies();
    await look.at(page, server.url + "/", "home-stranger");
    await page.goto(server.url + "/signin?next=https://evil.example/&lang=en");
    await withPassword(page, { name: "jeannine", password: "not this one" });
    await page.waitForSelector("#problem");
    await look.now(page, "signin-problem", "en");
    await withPassword(page, { name: "jeannine", password: words });
    await page.waitForURL(home(server));
  });
});

test("two browsers race for one code", async (t) => {
  const server = await start();
  t.after(() => server.stop());
  const racers = await Promise.all([browser(server), browser(server)]);
  t.after(() => Promise.all(racers.map((r) => r.close())));
  for (const [i, r] of racers.entries()) {
    await r.page.goto(`${server.url}/claim?lang=en#claim=${server.code}`);
    for (const [id, value] of Object.entries({ name: "racer" + i, password: words, again: words })) await r.page.fill("#" + id, value);
  }
  await Promise.all(racers.map((r) => Promise.all([r.page.waitForEvent("framenavigated"), r.page.click("button[type=submit]")])));
  await Promise.all(racers.map((r) => r.page.waitForLoadState("load")));
  const ends = await Promise.all(racers.map((r) => r.page.textContent("main")));
  const owners = ends.filter((text) => /All is well/.test(text)).length;
  const late = ends.filter((text) => /already has an owner|This is not the code/.test(text)).length;
  assert.deepEqual([owners, late], [1, 1], JSON.stringify(ends));
  const let_in = await Promise.all(racers.map((_, i) => ask(server, "GET", "buckets", "racer" + i, words)));
  assert.equal(let_in.filter((status) => status === 200).length, 1, JSON.stringify(let_in));
});

test("a device that does not trust the server sees no page of it", async (t) => {
  const server = await start();
  t.after(() => server.stop());
  const stranger = await browser(server, { trusts: false });
  t.after(() => stranger.close());
  await assert.rejects(stranger.page.goto(server.url + "/claim"), /ERR_CERT_AUTHORITY_INVALID/);
});

test("an iPhone is told of iPhones first", async (t) => {
  const server = await start();
  t.after(() => server.stop());
  const phone = await browser(server, { userAgent: "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1" });
  t.after(() => phone.close());
  await phone.page.goto(server.url + "/trust?lang=en");
  assert.equal(await phone.page.locator("details").first().getAttribute("id"), "ios");
  await look.now(phone.page, "trust-iphone", "en");
});

test.after(() => {
  console.log(`SHOW ${look.seen.pages.size} pages looked at: ${look.seen.pictures} pictures, ${look.seen.checks} times axe-core, no violation`);
});
