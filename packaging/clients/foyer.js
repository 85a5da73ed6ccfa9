// Starts a real `foyer try --http` for a test and ends it with the test.
import { execFileSync, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
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

// start returns { url, stop }; Kinto settings go in as environment variables.
export async function start(env = {}) {
  const foyer = spawn(binary, ["try", "--http", "--json", "--listen", "127.0.0.1:0", "--owner", "jeannine"], {
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
    async stop() {
      foyer.kill("SIGTERM");
      const [code] = await exit;
      if (code !== 0) throw new Error(`foyer try ended with ${code}: ${log}`);
    },
  };
}
