// What changes on a page by itself is fetched anew while somebody looks at it: every second
// while something is under way (data-busy), else every ten. Without this, the page as a
// whole is. What is there for when the server does not answer (data-away) is shown then.
"use strict";
const parts = () => [...document.querySelectorAll("[data-live][id]")];

function away(is) {
  for (const part of document.querySelectorAll("[data-away]")) part.hidden = !is;
}

async function renew() {
  const answer = await fetch(location.pathname + location.search, { cache: "no-store", redirect: "manual", signal: AbortSignal.timeout?.(15000) });
  away(false);
  if (!answer.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const part of parts()) {
    const fresh = page.getElementById(part.id);
    if (!fresh) continue;
    part.toggleAttribute("data-busy", fresh.hasAttribute("data-busy"));
    if (part.innerHTML === fresh.innerHTML || part.contains(document.activeElement)) continue;
    part.replaceChildren(...fresh.childNodes);
  }
}

(async () => {
  for (;;) {
    const busy = parts().some((part) => part.hasAttribute("data-busy"));
    await new Promise((then) => setTimeout(then, busy ? 1000 : 10000));
    if (!document.hidden) await renew().catch(() => away(true)); // the server is busy, or away: it is asked again
  }
})();
