// Looks at pages: at the widths of a phone and of a desk, in both languages, in
// light and in the dark; and asks axe-core whether everybody can use them.
import { mkdirSync } from "node:fs";
import axe from "axe-core";
import { fileURLToPath } from "node:url";

const folder = fileURLToPath(new URL("../../.cache/screenshots/", import.meta.url));
mkdirSync(folder, { recursive: true });

export const seen = { pages: new Set(), pictures: 0, checks: 0 };
const widths = [[390, 844], [1280, 800]];

async function check(page, name) {
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate(() => window.axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] }));
  seen.checks++;
  if (violations.length) {
    throw new Error(`${name}: ` + JSON.stringify(violations.map((v) => [v.id, v.help, v.nodes.map((n) => n.html + " " + n.failureSummary)]), null, 1));
  }
}

async function fits(page, name) {
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  if (wide > 0) throw new Error(`${name}: ${wide} pixels are out of sight on the right`);
}

// now looks at what is shown, as it is.
export async function now(page, name, lang) {
  seen.pages.add(name);
  for (const [width, height] of widths) {
    await page.setViewportSize({ width, height });
    for (const colorScheme of width === 390 ? ["light", "dark"] : ["light"]) {
      await page.emulateMedia({ colorScheme });
      await fits(page, name);
      if (width === 390) await check(page, `${name} ${lang} ${width} ${colorScheme}`);
      await page.screenshot({ path: `${folder}${name}-${lang}-${width}${colorScheme === "dark" ? "-dark" : ""}.png`, fullPage: true });
      seen.pictures++;
    }
  }
  await page.emulateMedia({ colorScheme: "light" });
}

// at opens a page in each language and looks at it.
export async function at(page, url, name) {
  for (const lang of ["fr", "en"]) {
    const to = new URL(url);
    to.searchParams.set("lang", lang);
    await page.goto(to.href);
    await now(page, name, lang);
  }
}
