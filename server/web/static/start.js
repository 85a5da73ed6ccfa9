// Asks the secure address every few seconds; it answers once this device trusts
// the server, and then the page goes there.
"use strict";
const go = document.getElementById("go");
document.getElementById("known").hidden = false;
const look = () =>
  fetch(go.href + "v1/__lbheartbeat__", { mode: "no-cors", cache: "no-store", credentials: "omit" })
    .then(() => location.replace(go.href + location.hash))
    .catch(() => setTimeout(look, 4000));
look();
