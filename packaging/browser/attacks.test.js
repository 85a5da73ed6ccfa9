// What other people's pages can make a browser do here, in a real one.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { createServer as createSecureServer } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { ask, authenticator, browser, settings, start } from "./foyer.js";

const words = "correct horse battery";

// claimed is a server whose owner is jeannine, with a record of hers.
async function claimed(t) {
  const server = await start();
  t.after(() => server.stop());
  const first = await browser(server);
  await first.page.goto(`${server.url}/claim?lang=en#claim=${server.code}`);
  for (const [id, value] of Object.entries({ name: "jeannine", password: words, again: words })) await first.page.fill("#" + id, value);
  await first.page.click("form#with-passkey button[type=submit]");
  await first.page.waitForURL((url) => url.href === server.url + "/");
  await first.close();
  for (const path of ["buckets/b", "buckets/b/collections/c", "buckets/b/collections/c/records/r"]) assert.equal(await ask(server, "PUT", path, "jeannine", words), 201);
  return server;
}

// site serves pages by their paths, from a name that is not the server's.
async function site(t, pages) {
  const web = createServer((req, res) => {
    res.setHeader("Content-Type", "text/html");
    res.end(pages[req.url] ?? "");
  });
  web.listen(0, "127.0.0.1");
  await once(web, "listening");
  t.after(() => web.close());
  return `http://evil.test:${web.address().port}`;
}

test("another site's page changes nothing, also once a password was typed", async (t) => {
  const server = await claimed(t);
  const attachment = `${server.url}/v1/buckets/b/collections/c/records/r/attachment`;
  const evil = await site(t, {
    "/form": `<form method="post" enctype="multipart/form-data" action="${attachment}">
      <input name="permissions" value='{"read":["system.Everyone"]}'><input type="file" name="attachment"></form>
      <script>
        const files = new DataTransfer();
        files.items.add(new File(["x"], "a.txt", { type: "text/plain" }));
        document.querySelector("input[type=file]").files = files.files;
        document.forms[0].submit();
      </script>`,
    "/script": `<script>
        const form = () => {
          const data = new FormData();
          data.set("permissions", '{"read":["system.Everyone"]}');
          data.set("attachment", new File(["x"], "a.txt", { type: "text/plain" }));
          return data;
        };
        const send = (mode, body, url = "${attachment}") => fetch(url, { method: "POST", mode, credentials: "include", body }).catch(() => {});
        Promise.all([
          send("no-cors", form()), send("cors", form()),
          send("no-cors", new Blob(['{"data":{"id":"made"}}']), "${server.url}/v1/buckets"),
          send("no-cors", new Blob(['{"requests":[{"method":"DELETE","path":"/buckets/b"}]}']), "${server.url}/v1/batch"),
        ]).then(() => (document.title = "done"));
      </script>`,
  });
  // The browser answers whoever asks it for the password of this server.
  const victim = await browser(server, { names: ["evil.test"], credentials: { username: "jeannine", password: words } });
  t.after(() => victim.close());
  const { page } = victim;
  const asked = await page.goto(server.url + "/v1/buckets/b/collections/c/records/r");
  assert.equal(asked.status(), 401, "a browser that opens an address of the API is not asked for a password");
  const [answer] = await Promise.all([page.waitForResponse((r) => r.url() === attachment), page.goto(evil + "/form")]);
  assert.equal(answer.status(), 403);
  await page.goto(evil + "/script");
  await page.waitForFunction(() => document.title === "done");
  assert.equal(await ask(server, "GET", "buckets/b/collections/c/records/r"), 401, "the record is private");
  assert.equal(await ask(server, "GET", "buckets/made", "jeannine", words), 403, "nothing was made");
  assert.equal(await ask(server, "DELETE", "buckets/b/collections/c/records/r/attachment", "jeannine", words), 204);
  console.log("SHOW another site's pages, in Chromium: a form and four scripts, nothing changed");
});

// passkeyOf asks the browser, on a page at host, for the passkey of rp and the secret it
// gives out (PRF); it returns "given" or the name of the error.
const passkeyOf = (page, rp) =>
  page.evaluate(async (rp) => {
    const bytes = (n) => crypto.getRandomValues(new Uint8Array(n));
    try {
      const got = await navigator.credentials.get({
        publicKey: { challenge: bytes(32), rpId: rp, userVerification: "required", extensions: { prf: { eval: { first: bytes(32) } } } },
      });
      return got ? "given" : "nothing";
    } catch (e) {
      return e.name;
    }
  }, rp);

test("a member's page cannot ask for the passkeys of the server", async (t) => {
  // Certificates for the server and for a member in two zones, of an authority that this browser trusts.
  const dir = mkdtempSync(join(tmpdir(), "foyer-zones-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const openssl = (...args) => execFileSync("openssl", args, { cwd: dir, stdio: "pipe" });
  const hosts = ["community.example", "mallory.community.example", "mallory.members.example"];
  openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test", "-keyout", "ca.key", "-out", "ca.pem");
  openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=" + hosts[0], "-keyout", "key.pem", "-out", "csr.pem");
  writeFileSync(join(dir, "san"), "subjectAltName=" + hosts.map((h) => "DNS:" + h).join(","));
  openssl("x509", "-req", "-in", "csr.pem", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "san", "-out", "cert.pem");
  const web = createSecureServer({ key: readFileSync(join(dir, "key.pem")), cert: readFileSync(join(dir, "cert.pem")) }, (_, res) => res.end("<!DOCTYPE html><title>a page</title>"));
  web.listen(0, "127.0.0.1");
  await once(web, "listening");
  t.after(() => web.close());

  const visitor = await browser({ root: join(dir, "ca.pem") }, { names: hosts });
  t.after(() => visitor.close());
  const { page } = visitor;
  await authenticator(visitor.context, page);
  const at = (host) => page.goto(`https://${host}:${web.address().port}/`);
  await at("community.example");
  await page.evaluate(async () => {
    const bytes = (n) => crypto.getRandomValues(new Uint8Array(n));
    await navigator.credentials.create({
      publicKey: {
        challenge: bytes(32), rp: { id: "community.example", name: "Foyer" }, user: { id: bytes(16), name: "anna", displayName: "anna" }, pubKeyCredParams: [{ type: "public-key", alg: -7 }],
        authenticatorSelection: { residentKey: "required", userVerification: "required" }, extensions: { prf: {} },
      },
    });
  });
  assert.equal(await passkeyOf(page, "community.example"), "given", "to the server itself");

  // Foyer takes members' names where a browser keeps the passkey from them, and nowhere else.
  for (const [zone, host] of [["community.example", "mallory.community.example"], ["members.example", "mallory.members.example"]]) {
    await at(host);
    const browsers = await passkeyOf(page, "community.example");
    const { code, text } = settings({ FOYER_ADDRESSES: "community.example", FOYER_CERTIFICATES_MEMBERS: zone });
    assert.equal(code === 0, browsers === "SecurityError", `${host}: ${browsers}; foyer: ${text}`);
    assert.equal(browsers, zone === "members.example" ? "SecurityError" : "given");
    if (code !== 0) assert.match(text, /passkeys of everybody/);
  }
  console.log("SHOW members' names, in Chromium: below the server's own name the passkey is given, and the setting refused; in a zone of their own neither");
});
