// Asks this device for a passkey and sends its answer with the form it belongs to.
// Where the browser knows no passkeys, nothing of this is shown.
"use strict";
const form = document.getElementById("with-passkey");
const button = document.getElementById("passkey");
const making = form && form.dataset.making === "yes";
const able = window.PublicKeyCredential && PublicKeyCredential.parseCreationOptionsFromJSON && PublicKeyCredential.parseRequestOptionsFromJSON;

const ask = async () => {
  const name = document.getElementById("name");
  const answer = await fetch(making ? "/passkey/make" : "/passkey/use", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ name: name ? name.value : "" }),
  });
  if (!answer.ok) throw new Error(String(answer.status));
  const { options, state } = await answer.json();
  const key = making
    ? await navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(options.publicKey) })
    : await navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options.publicKey) });
  form.elements.answer.value = JSON.stringify(key.toJSON());
  form.elements.state.value = state;
};

if (form && button && able) {
  for (const part of document.querySelectorAll("[data-passkeys]")) part.hidden = false;
  button.addEventListener("click", async () => {
    const failed = document.getElementById("passkey-failed");
    failed.hidden = true;
    for (const id of ["code", "name"]) {
      const input = document.getElementById(id);
      if (making && input && form.contains(input) && !input.reportValidity()) return;
    }
    button.disabled = true;
    try {
      await ask();
      form.noValidate = true;
      form.submit();
    } catch {
      button.disabled = false;
      failed.hidden = false;
    }
  });
}
