// Starts a real `foyer try` with HTTPS, and browsers that trust its home CA and
// nothing else, as the devices of a family do.
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";
import { fileURLToPath } from "node:url";

export const binary = fileURLToPath(new URL("../../build/foyer", import.meta.url));

// start returns a server nobody has claimed: { url, port, code, ca, reset, stop }.
export async function start(settings = {}) {
  const foyer = spawn(binary, ["try", "--json", "--listen", "127.0.0.1:0"], { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, ...settings } });
  let log = "";
  foyer.stderr.on("data", (part) => (log += part));
  const exit = once(foyer, "exit");
  const line = await Promise.race([
    once(createInterface(foyer.stdout), "line").then(([l]) => l),
    exit.then(() => Promise.reject(new Error("foyer try ended: " + log))),
  ]);
  const said = JSON.parse(line);
  const port = new URL(said.url).port;
  return {
    url: `https://foyer.local:${port}`,
    api: said.url,
    code: said.claim,
    root: said.root_certificate,
    run: said.run,
    // reset makes a code for the owner who forgot their password.
    reset: () => JSON.parse(execFileSync(binary, ["claim", "--reset", "--json", "--run", said.run])).reset,
    async stop() {
      foyer.kill("SIGTERM");
      const [code] = await exit;
      if (code !== 0) throw new Error(`foyer try ended with ${code}: ${log}`);
      if (/correct horse|app-[a-z2-7]{5}/.test(log)) throw new Error("the log tells secrets: " + log);
    },
  };
}

// settings runs `foyer settings` with an environment: { code, text }.
export function settings(env) {
  const { status, stdout, stderr } = spawnSync(binary, ["settings"], { env: { ...process.env, ...env }, encoding: "utf8" });
  return { code: status, text: stdout + stderr };
}

// browser is Chromium with a profile of its own that trusts the server's root. Never
// is a certificate's error passed over: a page that opens is one that was trusted.
// names are further ones that lead to this machine, roots further certificates it trusts.
export async function browser(server, options = {}) {
  const home = mkdtempSync(join(tmpdir(), "foyer-browser-"));
  const nss = join(home, ".pki", "nssdb");
  mkdirSync(nss, { recursive: true });
  execFileSync("certutil", ["-d", `sql:${nss}`, "-N", "--empty-password"]);
  const trusted = options.trusts === false ? [] : [server.root, ...(options.roots ?? [])];
  for (const [n, root] of trusted.entries()) execFileSync("certutil", ["-d", `sql:${nss}`, "-A", "-t", "CP,,", "-n", `foyer ${n}`, "-i", root]);
  const context = await chromium.launchPersistentContext(join(home, "profile"), {
    executablePath: "/usr/bin/chromium",
    env: { ...process.env, HOME: home },
    locale: options.locale ?? "en-GB",
    userAgent: options.userAgent,
    viewport: { width: 390, height: 844 },
    args: [
      "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
      "--host-resolver-rules=" + ["foyer.local", ...(options.names ?? [])].map((name) => `MAP ${name} 127.0.0.1`).join(", "),
    ],
    httpCredentials: options.credentials,
    javaScriptEnabled: options.scripts !== false,
  });
  context.setDefaultTimeout(120_000); // patience, which judges no speed: a tenth is enough on an idle machine
  const page = context.pages()[0] ?? (await context.newPage());
  return {
    page,
    context,
    async close() {
      await context.close();
      rmSync(home, { recursive: true, force: true });
    },
  };
}

// authenticator gives a page a device that keeps passkeys and knows its owner's finger.
export async function authenticator(context, page) {
  const cdp = await context.newCDPSession(page);
  await cdp.send("WebAuthn.enable");
  await cdp.send("WebAuthn.addVirtualAuthenticator", {
    options: { protocol: "ctap2", transport: "internal", hasResidentKey: true, hasUserVerification: true, isUserVerified: true, automaticPresenceSimulation: true },
  });
}

// ask makes one API request as an app does, without a browser; it returns the status.
export function ask(server, method, path, name, password, body) {
  return new Promise((resolve, reject) => {
    const headers = body ? { "Content-Type": "application/json" } : {};
    const auth = name && `${name}:${password}`;
    const req = request(server.api + path, { method, headers, ca: readFileSync(server.root), agent: false, auth }, (res) => {
      res.resume();
      res.on("end", () => resolve(res.statusCode));
    });
    req.on("error", reject);
    req.end(body);
  });
}

// words are the password of owners in tests.
export const words = "correct horse battery";

// claims has jeannine become the owner of a server, in a browser she is signed in with then.
export async function claims(t, server) {
  const owner = await browser(server);
  t.after(() => owner.close());
  const { page } = owner;
  await page.goto(`${server.url}/claim?lang=en#claim=${server.code}`);
  for (const [id, value] of Object.entries({ name: "jeannine", password: words, again: words })) await page.fill("#" + id, value);
  await page.click("form#with-passkey button[type=submit]");
  await page.waitForURL((url) => url.href === server.url + "/");
  return owner;
}
