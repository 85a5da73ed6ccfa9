// A code comes in the fragment of an address, which is sent to nobody; it is taken
// out of the address at once, so that it stays in no history.
"use strict";
const code = document.getElementById("code");
const found = /^#(?:claim|code)=([A-Za-z0-9-]{1,64})$/.exec(location.hash);
if (location.hash) history.replaceState(null, "", location.pathname + location.search);
if (code && found) {
  code.value = found[1].toUpperCase();
  const next = document.getElementById("name") || document.getElementById("password");
  if (next) next.focus();
}

if (code && code.value.length > 12 && !code.hasAttribute("aria-invalid")) document.getElementById("code-field").hidden = true;

const show = document.getElementById("show");
if (show) {
  document.getElementById("show-row").hidden = false;
  show.addEventListener("change", () => {
    for (const input of document.querySelectorAll("input[data-veiled]")) input.type = show.checked ? "text" : "password";
  });
}

for (const button of document.querySelectorAll("button[data-copy]")) {
  if (!navigator.clipboard) continue;
  button.hidden = false;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent.trim());
    document.getElementById("heard").textContent = button.dataset.done;
    const before = button.textContent;
    button.textContent = button.dataset.done;
    setTimeout(() => (button.textContent = before), 2000);
  });
}
