// The texts inside the HTML that the server makes come in English, with their key; here they change to the visitor's.

import { language, say } from "./words.js";

/**
 * @param {string} key
 * @param {Record<string, any>} values numbers, texts, or phrases of their own: `{ say: key, values }`
 * @returns {string}
 */
function spoken(key, values = {}) {
  const inner = Object.entries(values).map(([name, value]) => [
    name,
    value?.say ? spoken(value.say, value.values) : value,
  ]);
  return say(key, Object.fromEntries(inner));
}

/** @param {Element} place */
function translate(place) {
  try {
    place.textContent = spoken(place.dataset.say, JSON.parse(place.dataset.values ?? "{}"));
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
