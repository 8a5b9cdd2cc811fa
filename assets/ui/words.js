// Texts in the visitor's language: the page's own from the table of ui/words, others' by what they say in English.

const table = await fetch(new URL("./words.json", import.meta.url)).then((answer) => answer.json());
export const language = navigator.languages.map((tag) => tag.slice(0, 2)).find((tag) => tag in table) ?? "en";
document.documentElement.lang = language;
const words = { ...table.en, ...table[language] };

/**
 * A text that came in English: a method's, a refusal, how far something is. What is not known stays as it is.
 * @type {(text: string) => string}
 */
export const translated =
  language === "en"
    ? (text) => text
    : await import("./sentences.js").then(({ sentences }) => sentences(language)).catch(() => (text) => text);

/**
 * The text of a key, with its `{placeholders}` filled in.
 * @param {string} key
 * @param {Record<string, any>} [values] numbers, texts, or phrases of their own: `{ say: key, values }`
 * @returns {string}
 */
export function say(key, values = {}) {
  const text = words[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? said(values[name]) : whole));
}

/** A phrase of the server's, or what is text already. */
export function said(value) {
  if (typeof value === "number") return value.toLocaleString(language, { useGrouping: false });
  return value?.say ? say(value.say, value.values) : String(value ?? "");
}
