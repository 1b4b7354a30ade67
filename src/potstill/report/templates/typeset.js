"use strict";
/* Shows a text that someone else wrote: its mathematics as MathML, all else as the characters it is.
   typeset(element, text) may be called again with a longer text: what has not changed stays. */
const typeset = (() => {
  // \[ \], $$ $$, environments; \( \), $ $ (not the dollars of "$5 and $7"); a bare \boxed
  const MATH = new RegExp(
    [
      String.raw`\$(\\\$)\$`, // a dollar sign, as TeX has it: $\$$15
      String.raw`\\\[([^]{1,4000}?)\\\]`,
      String.raw`(?<!\\)\$\$([^]{1,4000}?)\$\$`,
      String.raw`(\\begin\{((?:align|gather|equation|array|cases|[pbv]?matrix)\*?)\}[^]{1,4000}?\\end\{\5\})`,
      String.raw`\\\(([^]{1,4000}?)\\\)`,
      String.raw`(?<![\\$\w])\$(?![\s$])((?:[^$\\\n]|\\[^\n]){1,1000}?)(?<!\s)\$(?![\d$])`,
      String.raw`\\boxed\{`,
    ].join("|"),
    "g",
  );
  const CONTROL = /[\x00-\x08\x0b-\x1f\x7f]/g;
  const known = new WeakMap();

  /** The parts of a text in order: {source, tex, block}, tex null for plain characters. */
  function parts(text) {
    const found = [];
    let at = 0;
    const plain = (end, block) => {
      let source = text.slice(at, end);
      if (found.at(-1)?.block) source = source.trimStart();
      if (block) source = source.trimEnd(); // a block brings its own room
      if (source) found.push({ source, tex: null, block: false });
    };
    MATH.lastIndex = 0;
    for (let match; (match = MATH.exec(text)); ) {
      const [source, sign, bracket, dollars, environment, , paren, dollar] = match;
      let end = match.index + source.length;
      let tex = bracket ?? dollars ?? environment ?? paren ?? dollar ?? sign;
      if (tex === undefined) {
        end = closing(text, end);
        if (end < 0) continue;
        tex = text.slice(match.index, end);
      }
      const block = (bracket ?? dollars ?? environment) !== undefined;
      plain(match.index, block);
      found.push({ source: text.slice(match.index, end), tex, block });
      at = MATH.lastIndex = end;
    }
    plain(text.length, false);
    return found;
  }

  /** Where the brace that was opened before `start` is closed; -1 where it is not, or far away. */
  function closing(text, start) {
    let depth = 1;
    for (let i = start; i < Math.min(text.length, start + 1000); i += 1) {
      if (text[i] === "\\") i += 1;
      else if (text[i] === "{") depth += 1;
      else if (text[i] === "}" && --depth === 0) return i + 1;
    }
    return -1;
  }

  function node(part) {
    if (part.tex === null) return document.createTextNode(visible(part.source));
    const box = document.createElement("span");
    box.className = part.block ? "math block" : "math";
    try {
      temml.render(part.tex, box, {
        displayMode: part.block,
        throwOnError: true,
        trust: false,
        macros: { "\\mbox": "\\text{#1}" },
        maxExpand: 500,
        maxSize: [20, 10],
        wrap: part.block ? "=" : "tex",
      });
    } catch {
      box.className = "source";
      box.textContent = visible(part.source);
    }
    return box;
  }

  const visible = (text) =>
    text.replace(CONTROL, (c) => String.fromCharCode(c === "\x7f" ? 0x2421 : 0x2400 + c.charCodeAt(0)));

  return (element, text) => {
    const before = known.get(element) ?? [];
    const after = parts(text);
    const alike = (a, b) => b !== undefined && a.source === b.source && a.tex === b.tex;
    let same = 0;
    while (same < before.length && alike(before[same], after[same])) same += 1;
    while (element.childNodes.length > same) element.lastChild.remove();
    for (const part of after.slice(same)) element.append(node(part));
    known.set(element, after);
  };
})();
