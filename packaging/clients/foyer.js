// Starts a real `foyer try --http` for a test and ends it with the test.
import { execFileSync, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { request } from "node:http";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const binary = fileURLToPath(new URL("../../build/foyer", import.meta.url));
const password = "correct horse battery";

export const basic = (name, word) => "Basic " + Buffer.from(`${name}:${word}`).toString("base64");
export const jeannine = { Authorization: basic("jeannine", password) };

// database is one of its own on the PostgreSQL whose socket's folder is named by
// FOYER_TEST_POSTGRES; without it the server keeps its data in SQLite.
function database() {
  const folder = process.env.FOYER_TEST_POSTGRES;
  if (!folder) return {};
  const name = `clients_${randomBytes(6).toString("hex")}`;
  execFileSync("psql", ["-q", "-h", folder, "-U", "foyer", "-d", "postgres", "-c", `CREATE DATABASE ${name}`]);
  return { FOYER_DATABASE: `host=${folder} user=foyer dbname=${name}` };
}

// start returns { url, run, stop }; Kinto settings go in as environment variables.
export async function start(env = {}, args = []) {
  const foyer = spawn(binary, ["try", "--http", "--json", "--listen", "127.0.0.1:0", "--owner", "jeannine", ...args], {
    env: { ...process.env, FOYER_OWNER_PASSWORD: password, ...database(), ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let log = "";
  foyer.stderr.on("data", (part) => (log += part));
  const exit = once(foyer, "exit");
  const line = await Promise.race([
    once(createInterface(foyer.stdout), "line").then(([l]) => l),
    exit.then(() => Promise.reject(new Error("foyer try ended: " + log))),
  ]);
  const said = JSON.parse(line);
  return {
    url: said.url,
    run: said.run,
    async stop() {
      foyer.kill("SIGTERM");
      const [code] = await exit;
      if (code !== 0) throw new Error(`foyer try ended with ${code}: ${log}`);
    },
  };
}

// copy is all that a server has, as lines of its log of changes (docs/control.md).
export async function copy(foyer) {
  const lines = [];
  for (let after = "", more = true; more; ) {
    const answer = await new Promise((resolve, reject) => {
      const path = `/base?after=${encodeURIComponent(after)}`;
      request({ socketPath: `${foyer.run}/local.sock`, path }, resolve).on("error", reject).end();
    });
    let end;
    for await (const line of createInterface(answer)) {
      const said = JSON.parse(line);
      if (said.end) end = said.end;
      else lines.push(line);
    }
    if (!end || end.error) throw new Error(`the copy was cut short: ${answer.statusCode} ${lines.at(-1)}`);
    ({ next: after, more } = end);
  }
  return { moment: Date.now(), lines };
}

// restore makes a folder of data of a copy, as the end of a restore does.
export function restore(copied, folder) {
  execFileSync(binary, ["load", folder, "--restored", "--moment", String(copied.moment)], { input: copied.lines.join("\n") + "\n", stdio: ["pipe", "pipe", "pipe"] });
}
