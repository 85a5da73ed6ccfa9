// The claim code comes in the fragment, which is sent to nobody; it is taken out
// of the address at once, so that it stays in no history.
"use strict";
const code = document.getElementById("code");
const found = /^#claim=([A-Za-z0-9-]{1,32})$/.exec(location.hash);
if (location.hash) history.replaceState(null, "", location.pathname + location.search);
if (code && found) {
  code.value = found[1].toUpperCase();
  document.getElementById("name").focus();
}
const show = document.getElementById("show");
if (show) {
  document.getElementById("show-row").hidden = false;
  show.addEventListener("change", () => {
    for (const id of ["password", "again"]) document.getElementById(id).type = show.checked ? "text" : "password";
  });
}
