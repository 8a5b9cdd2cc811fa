// Sentences that come in English, from below the page: found in the table of ui/words/sentences by what they say.

const PLACES = /((?:\{\w+\})+)/; // `{placeholders}`; those side by side are one
const TOO_LONG = 3000; // letters, for a sentence
const LETTERS = 6; // with fewer of its own, a template says nothing by itself
const SENTENCES = /\S[^]*?(?:[.!?](?= )|$)/g;
const JOINTS = [/(; )/, /( \(|\))/, /(, )/];

/**
 * @param {string} language
 * @returns {Promise<(text: string) => string>} what says the text in that language, or as it is where it is not known
 */
export async function sentences(language) {
  /** @type {Record<string, string>} */
  const table = await fetch(new URL(`./sentences-${language}.json`, import.meta.url)).then((answer) => answer.json());
  const exact = new Map(Object.entries(table));
  const known = new Map();
  /** @type {ReturnType<typeof template>[] | undefined} */
  let templates;

  /** @param {string} text @returns {string} */
  const translated = (text) => {
    if (!known.has(text)) known.set(text, text.length > TOO_LONG ? text : found(text));
    return known.get(text);
  };

  const found = (text) => {
    const [, before, core, after] = /^([\s,;]*)([^]*?)([\s,;]*)$/.exec(text);
    if (!/[a-z]{2}/.test(core)) return text; // numbers, sizes, names of capitals
    const whole = exact.get(core) ?? fitted(core) ?? bySentences(core) ?? byJoints(core);
    return whole === null ? text : before + whole + after;
  };

  /** By the first template that fits, of those which say the most. */
  const fitted = (text) => {
    templates ??= [...exact].filter(([english]) => PLACES.test(english)).map(template);
    templates.sort((one, other) => other.letters - one.letters);
    for (const { longest, pattern, names, other, letters } of templates) {
      const values = text.includes(longest) && pattern.exec(text)?.slice(1);
      if (!values || (letters < LETTERS && !values.every(isKnown))) continue;
      return other.map((part) => (PLACES.test(part) ? translated(values[names.indexOf(part)]) : part)).join("");
    }
    return null;
  };

  const isKnown = (value) => !/[a-z]{2}/.test(value) || translated(value) !== value;

  /** Several in a row, some of which may belong together in the table. */
  const bySentences = (text) => {
    const parts = text.match(SENTENCES) ?? [];
    if (parts.length < 2) return null;
    const said = [];
    for (let first = 0, last; first < parts.length; first = last) {
      for (last = parts.length - (first ? 0 : 1); last > first + 1; last -= 1) {
        const together = parts.slice(first, last).join(" ");
        if (exact.has(together) || fitted(together) !== null) break;
      }
      said.push(translated(parts.slice(first, last).join(" ")));
    }
    return said.join(" ");
  };

  /** Lists and what stands in brackets. */
  const byJoints = (text) => {
    const joint = JOINTS.find((each) => each.test(text));
    return joint ? text.split(joint).map(translated).join("") : null;
  };

  return translated;
}

/** @param {[string, string]} entry */
function template([english, other]) {
  const parts = english.split(PLACES); // text, place, text, ...
  const texts = parts.filter((_, i) => i % 2 === 0);
  const escaped = parts.map((part, i) => (i % 2 ? "([^]*?)" : part.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&")));
  return {
    longest: texts.reduce((one, each) => (each.length > one.length ? each : one)),
    pattern: new RegExp(`^${escaped.join("")}$`),
    names: parts.filter((_, i) => i % 2),
    other: other.split(PLACES),
    letters: texts.join("").replace(/[^A-Za-z]/g, "").length,
  };
}
