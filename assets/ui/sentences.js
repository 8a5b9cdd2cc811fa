// Sentences that come in English, from below the page: found in the table of ui/words/sentences by what they say. Of all
// the ways to read one, that is taken which leaves the fewest English words over.

const PLACES = /(\{\w+\}(?: ?\{\w+\})?)/; // two side by side share what is found there
const PLACE = /(\{\w+\})/;
const TOO_LONG = 1500; // letters, for a sentence
const SAYS_LITTLE = 6; // a template with fewer letters of its own means nothing beside unknown words
const MOST_TOGETHER = 6; // sentences, in one text of the table
const MOST_STEPS = 1000; // in looking one text up, so that none keeps the page waiting
const MOST_KNOWN = 5000;
const PATIENCE_MS = 5000;
const SENTENCES = /\S[^]*?(?:[.!?](?= )|$)/g;
const JOINTS = [/(; )/, /( \(|\))/, /(, )/];
const AROUND = /^([\s,;]*)([^]*?)([\s,;]*)$/;

/** @typedef {{ said: string, left: number }} Reading how it reads, and how many letters of words stayed as they were */

/** @param {string} text @returns {Reading} */
const asItIs = (text) => ({ said: text, left: (text.match(/[a-z]{2,}/g) ?? []).join("").length });

/** @param {Reading[]} readings @returns {Reading} all of them, one after the other */
const joined = (readings, between = "") => ({
  said: readings.map(({ said }) => said).join(between),
  left: readings.reduce((sum, { left }) => sum + left, 0),
});

/** Whether each bracket that is opened is closed again. @param {string} text */
const closes = (text) => text.split("(").length === text.split(")").length;

/** @param {Reading[]} readings the first of the best */
const best = (readings) => readings.reduce((one, other) => (other.left < one.left ? other : one));

/**
 * @param {string} language
 * @returns {Promise<(text: string) => string>} what says the text in that language, or as it is where it is not known
 */
export async function sentences(language) {
  /** @type {Record<string, string>} */
  const table = await fetch(new URL(`./sentences-${language}.json`, import.meta.url), {
    signal: AbortSignal.timeout(PATIENCE_MS), // the page waits for it
  }).then((answer) => answer.json());
  const pairs = Object.entries(table);
  /** @type {ReturnType<typeof template>[] | undefined} */
  let templates;
  /** @type {Map<string, Reading>} */
  const known = new Map();
  let steps = 0;

  /** @param {string} text @returns {Reading} */
  function read(text) {
    const reading = known.get(text) ?? readAnew(text);
    if (steps >= 0) known.set(text, reading);
    return reading;
  }

  function readAnew(text) {
    const [, before, core, after] = AROUND.exec(text);
    if (core !== text) return joined([asItIs(before), read(core), asItIs(after)]);
    if (Object.hasOwn(table, text)) return { said: table[text], left: 0 };
    const english = asItIs(text); // nothing is left over of numbers, sizes, and names in capitals
    if (!english.left || text.length > TOO_LONG) return english;
    return best([...asOne(text), ...bySentences(text), ...byJoints(text), english]);
  }

  /** By each template that fits, those first which say the most. */
  function asOne(text) {
    steps -= 1;
    if (steps < 0) return [];
    templates ??= pairs
      .filter(([english]) => PLACES.test(english))
      .map(template)
      .sort((one, other) => other.length - one.length);
    return templates.filter(({ longest }) => text.includes(longest)).flatMap((each) => filled(each, text));
  }

  function filled({ patterns, names, other, letters }, text) {
    return patterns
      .map((pattern) => pattern.exec(text)?.slice(1).map((value, i) => shared(value, names[i])))
      .filter((values) => values?.every(Boolean))
      .map((values) => Object.assign({}, ...values))
      .map((values) => joined(other.map((part) => values[part] ?? { said: part, left: 0 })))
      .filter(({ left }) => !left || letters >= SAYS_LITTLE);
  }

  /**
   * @param {string} value
   * @param {ReturnType<typeof namesIn>} names
   * @returns {Record<string, Reading> | null} what stands in each place; null where it cannot be that
   */
  function shared(value, [first, second, between]) {
    if (!closes(value)) return null;
    if (!second) return { [first]: read(value) };
    const ends = [...value.matchAll(between ? / /g : /(?=[ ,;(])|$/g)].map(({ index }) => index).reverse();
    const splits = ends.map((end) => [value.slice(0, end), value.slice(end + between.length)]);
    const readings = splits.filter(([one]) => closes(one)).map((parts) => parts.map(read));
    if (!readings.length) return null;
    const [one, other] = readings.reduce((a, b) => (joined(b).left < joined(a).left ? b : a));
    return { [first]: one, [second]: other };
  }

  /** Several, of which some in a row may belong together in the table. */
  function bySentences(text) {
    const parts = text.match(SENTENCES) ?? [];
    if (parts.length < 2) return [];
    /** @type {Reading[][]} */
    const from = Array.from({ length: parts.length + 1 }, () => []); // the best from each part on
    for (let i = parts.length - 1; i >= 0; i -= 1) {
      const ways = [];
      for (let end = Math.min(parts.length, i + MOST_TOGETHER); end > i; end -= 1) {
        const some = parts.slice(i, end).join(" ");
        const one = end === i + 1 ? [read(some)] : Object.hasOwn(table, some) ? [read(some)] : asOne(some);
        if (one.length && end - i < parts.length) ways.push([best(one), ...from[end]]);
      }
      from[i] = ways.reduce((a, b) => (joined(b).left < joined(a).left ? b : a));
    }
    return [joined(from[0], " ")];
  }

  /** Lists, and what stands in brackets. */
  function byJoints(text) {
    return JOINTS.filter((joint) => joint.test(text)).map((joint) => joined(text.split(joint).map(read)));
  }

  return (text) => {
    if (known.size > MOST_KNOWN) known.clear(); // progress says ever new things
    steps = MOST_STEPS;
    const reading = read(text);
    known.set(text, reading);
    return reading.said;
  };
}

/** @param {[string, string]} entry */
function template([english, other]) {
  const parts = english.split(PLACES); // text, place, text, ...
  const texts = parts.filter((_, i) => i % 2 === 0);
  const escaped = texts.map((text) => text.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&"));
  return {
    longest: texts.reduce((one, each) => (each.length > one.length ? each : one)),
    patterns: ["([^]*?)", "([^]*)"].map((value) => new RegExp(`^${escaped.join(value)}$`)),
    names: parts.filter((_, i) => i % 2).map(namesIn),
    other: other.split(PLACE),
    length: texts.join("").length,
    letters: texts.join("").replace(/[^A-Za-z]/g, "").length,
  };
}

/** @param {string} places @returns {[string, string | undefined, string]} one or two, and what is between */
function namesIn(places) {
  const [first, second] = places.match(/\{\w+\}/g);
  return [first, second, places.includes("} {") ? " " : ""];
}
