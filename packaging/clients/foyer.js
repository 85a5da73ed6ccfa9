// Starts a real `foyer try --http` for a test and ends it with the test.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

const binary = new URL("../../build/foyer", import.meta.url).pathname;
const password = "correct horse battery";

export const basic = (name, word) => "Basic " + Buffer.from(`${name}:${word}`).toString("base64");
export const jeannine = { Authorization: basic("jeannine", password) };

// start returns { url, stop }; Kinto settings go in as environment variables.
export async function start(env = {}) {
  const foyer = spawn(binary, ["try", "--http", "--json", "--listen", "127.0.0.1:0", "--owner", "jeannine"], {
    env: { ...process.env, FOYER_OWNER_PASSWORD: password, ...env },
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
