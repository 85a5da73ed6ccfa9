// Stands for what `foyer try` does not have: a machine whose settings root may change. It sits
// between the server and its supervisor, passes everything on, and answers for changes itself:
// with the product's own questions and plans (wizard), and with states that tests set. What
// root does, and that it goes back by itself, is shown on booted machines (packaging/e2e).
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { renameSync } from "node:fs";
import { createServer, request } from "node:http";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { binary } from "./foyer.js";

const here = dirname(fileURLToPath(import.meta.url));
const said = (en, fr) => ({ en, fr });

// standin returns { fresh, secrets, stands, stop }: whether a page may begin a change, the
// values that came with one that was begun, and how to set how it stands.
export async function standin(server) {
  const program = join(dirname(binary), "wizard");
  execFileSync("go", ["build", "-o", program, "./browser/wizard"], { cwd: dirname(here), stdio: "inherit" });
  const wizard = spawn(program, [new URL(server.url).port], { stdio: ["pipe", "pipe", "inherit"] });
  const ended = once(wizard, "exit");
  const lines = createInterface(wizard.stdout)[Symbol.asyncIterator]();
  let turn = Promise.resolve();
  const think = (values) =>
    (turn = turn.then(async () => {
      wizard.stdin.write(JSON.stringify(values ?? {}) + "\n");
      return JSON.parse((await lines.next()).value);
    }));

  const public_ = join(server.run, "control.sock");
  const real = join(server.run, "real.sock");
  renameSync(public_, real);
  const ask = (method, path, body) =>
    new Promise((resolve, reject) => {
      const out = request({ socketPath: real, method, path, headers: body ? { "Content-Length": Buffer.byteLength(body) } : {} }, async (answer) => {
        let text = "";
        for await (const part of answer) text += part;
        resolve({ status: answer.statusCode, text });
      });
      out.on("error", reject).end(body);
    });

  const it = { fresh: true, values: undefined, code: "ABCD-EFGH-IJKL-MNOP-QRST", at: undefined };
  let job;
  // stands has the change under way stand so.
  it.stands = (state, more = {}) => {
    Object.assign(job.result, { state, ...more });
    if (state === "kept" || state === "back") {
      Object.assign(job, { state: state === "kept" ? "done" : "failed", ended: new Date().toISOString() });
      if (state === "back") job.error = { code: "change-back", what: more.reason, did: said("Everything is as it was.", "Tout est comme avant."), do: said("Ask for it again when you like.", "Redemandez-le quand vous voulez.") };
    }
  };
  const problem = (code, en, fr, todo) => ({ status: 409, body: { code, what: said(en, fr), did: said("", ""), do: todo ?? said("", "") } });
  const answers = {
    "POST /change/questions": async ({ values }) => ({ body: (await think(values)).questions }),
    "POST /change/plan": async ({ values }) => {
      const { plan, wrong } = await think(values);
      return wrong ? { status: 409, body: wrong } : { body: plan };
    },
    "POST /change": async ({ values }) => {
      if (!it.fresh) return problem("signin-again", "Once more.", "Encore une fois.");
      it.values = values;
      const { plan } = await think(values);
      job = { id: "20261127-120000000-abcd", kind: "change-settings", title: said("Change the settings", "Modifier les réglages"), by: "jeannine", state: "running", asked: new Date().toISOString(), result: { state: "applying", plan } };
      return { body: { job, code: it.code } };
    },
    "POST /change/keep": async ({ code, at }) => {
      it.at = at;
      if (job?.result.state !== "waiting") return problem("change-none", "Nothing waits to be confirmed.", "Rien n'attend d'être confirmé.", said("`foyer jobs` tells how the last change came out.", "`foyer jobs` dit comment la dernière modification s'est terminée."));
      if (code !== it.code) return problem("code-wrong", "This is not the code of the change under way.", "Ce n'est pas le code de la modification en cours.", said("Use the link you were given when you asked for the change.", "Utilisez le lien reçu en demandant la modification."));
      if (!job.result.plan.through.includes(at + "/")) return problem("change-elsewhere", "This arrived by an address that does not show that the change works.", "Ceci est arrivé par une adresse qui ne montre pas que la modification fonctionne.");
      it.stands("kept");
      return { body: job };
    },
  };
  const door = createServer(async (req, res) => {
    let body = "";
    for await (const part of req) body += part;
    const way = `${req.method} ${req.url}`;
    const send = ({ status = 200, body }) => res.writeHead(status, { "Content-Type": "application/json" }).end(JSON.stringify(body));
    if (answers[way]) return send(await answers[way](JSON.parse(body)));
    if (job && req.url === "/jobs/" + job.id) {
      if (req.method === "DELETE") it.stands("back", { reason: said("Somebody wanted it back.", "Quelqu'un l'a demandé.") });
      return send({ body: job });
    }
    const got = await ask(req.method, req.url, body);
    if (got.status !== 200) return res.writeHead(got.status, { "Content-Type": "application/json" }).end(got.text);
    const told = JSON.parse(got.text);
    if (way === "GET /jobs/kinds" && !told.some((kind) => kind.kind === "change-settings")) told.push({ kind: "change-settings", title: said("Change the settings", "Modifier les réglages"), page: true, fresh: true });
    if (job && way === "GET /jobs") told.unshift(job);
    if (job && way === "GET /status") told.jobs = [job, ...(told.jobs ?? [])];
    send({ body: told });
  });
  door.listen(public_);
  await once(door, "listening");
  it.stop = async () => {
    wizard.stdin.end();
    await ended;
    door.close();
    door.closeAllConnections();
  };
  return it;
}
