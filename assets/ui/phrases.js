// Texts inside the HTML that the server makes, and inside Gradio's components: they come in English, and change here to
// the visitor's language. Those of the table of ui/words come with their key, others are known by what they say.

import { language, say, translated } from "./words.js";

// Where methods and refusals speak through components of Gradio's. Those keep their text nodes, to fill them in again.
const SPOKEN = "#methods, [data-testid=toast-text]";

/** @param {Element} place */
function phrase(place) {
  try {
    const text = say(place.dataset.say, JSON.parse(place.dataset.values ?? "{}"));
    if (place.dataset.sayIn) place.setAttribute(place.dataset.sayIn, text);
    else place.textContent = text;
  } catch {
    // It stays English.
  }
  delete place.dataset.say; // done
}

/** @param {Element} place */
function sentence(place) {
  place.textContent = translated(place.textContent);
  delete place.dataset.sentence; // done
}

/** @param {Element} place */
function texts(place) {
  const walker = document.createTreeWalker(place, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const { data } = walker.currentNode;
    const text = translated(data);
    if (text !== data) walker.currentNode.data = text;
  }
  for (const named of place.querySelectorAll("[aria-label]")) {
    const [, before = "", name] = /^(.* for )?([^]*)$/.exec(named.ariaLabel); // "number input for Steps"
    const text = before + translated(name);
    if (text !== named.ariaLabel) named.ariaLabel = text;
  }
}

function translateAll() {
  document.querySelectorAll("[data-say]").forEach(phrase);
  document.querySelectorAll("[data-sentence]").forEach(sentence);
  document.querySelectorAll(SPOKEN).forEach(texts);
}

if (language !== "en") {
  translateAll();
  // Gradio puts new HTML into what is there: sometimes only attributes and texts are others.
  new MutationObserver(translateAll).observe(document.body, {
    childList: true,
    characterData: true,
    attributeFilter: ["data-say", "data-values", "data-sentence"],
    subtree: true,
  });
}
