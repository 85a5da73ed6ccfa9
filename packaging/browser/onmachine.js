// Changes its mind on a booted machine, in a real browser, as an owner does: run by
// packaging/e2e in the network of that machine, with the owner's password and the files of
// the root certificates to trust.
// Each step is a line of JSON.
import assert from "node:assert/strict";
import { browser } from "./foyer.js";
import * as look from "./look.js";

const [password, root, ...roots] = process.argv.slice(2);
const cloud = "cloud.jeannine-martin.fr";
const owner = await browser({ root }, { names: [cloud], roots });
const { page, context } = owner;

async function signIn(host) {
  await page.goto(`https://${host}/change?lang=en`);
  if (!(await page.locator("#name").count())) return; // who has signed in is
  await page.fill("#name", "jeannine");
  await page.fill("#password", password);
  await page.click("form#with-passkey button[type=submit]");
  await page.waitForURL(/change(\?|$)/);
}

// change answers, begins, and confirms by the link, where it leads.
async function change(where, address) {
  await page.check(`input[name="answer.where"][value=${where}]`);
  await page.click("main form button[type=submit]");
  const name = page.locator("#q-addresses");
  if (address) await name.fill(address);
  await page.click("main form[action='/change/plan'] button[type=submit]");
  await page.waitForSelector("ol.steps");
  if (where === "reachable") await look.now(page, "change-plan-machine", "en");
  await page.click("form[action='/change'] button");
  const link = (await page.locator("#link").textContent()).trim();
  if (where === "reachable") await look.now(page, "change-begun-machine", "en");
  const other = await context.newPage();
  // The service starts anew: a browser tries again, as a person does.
  let answer;
  for (const end = Date.now() + 120_000; ; await new Promise((then) => setTimeout(then, 200))) {
    try {
      answer = await other.goto(link);
      if (answer.status() < 500) break;
    } catch (err) {
      if (Date.now() > end) throw err;
    }
  }
  assert.equal(answer.status(), 200);
  if (where === "reachable") await look.now(other, "change-keep-machine", "en");
  for (const end = Date.now() + 120_000; ; await new Promise((then) => setTimeout(then, 300))) {
    await other.click("form[action='/change/keep'] button");
    await other.waitForLoadState();
    const said = await other.textContent("main");
    if (/it stays/.test(said)) break;
    if (Date.now() > end || !/not in force yet|does not answer/.test(said)) throw new Error(said);
    await other.goto(link);
  }
  await other.close();
  console.log(JSON.stringify({ where, link: link.replace(/code=.*/, "code=…") }));
}

await signIn("foyer.local");
await change("reachable", cloud);
await signIn(cloud);
await change("server", cloud);
await signIn(cloud);
await change("home");
await page.goto("https://foyer.local/?lang=en");
assert.match(await page.textContent("main"), /jeannine|All is well|Sign in|network/);
await owner.close();
