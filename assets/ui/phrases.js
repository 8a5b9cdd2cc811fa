// The texts inside the HTML that the server makes come in English, with their key; here they change to the visitor's.

import { language, say } from "./words.js";

/** @param {Element} place */
function translate(place) {
  try {
    const text = say(place.dataset.say, JSON.parse(place.dataset.values ?? "{}"));
    if (place.dataset.sayIn) place.setAttribute(place.dataset.sayIn, text);
    else place.textContent = text;
  } catch {
    // It stays English.
  }
  delete place.dataset.say; // done
}

function translateAll() {
  document.querySelectorAll("[data-say]").forEach(translate);
}

if (language !== "en") {
  translateAll();
  new MutationObserver(translateAll).observe(document.body, { childList: true, subtree: true });
}
