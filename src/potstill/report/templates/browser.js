"use strict";
/* The problems one by one: searched, filtered, opened. Every text is shown as text. */
(async () => {
  const SHOWN = 60; // problems listed at once; more on demand
  const WRONG = "not CORRECT";
  const at = (id) => document.getElementById(id);
  const make = (tag, className, text) => {
    const element = document.createElement(tag);
    if (className) element.className = className;
    if (text !== undefined) element.textContent = text;
    return element;
  };

  const unpack = async (element) => {
    const bytes = Uint8Array.from(atob(element.textContent.trim()), (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return JSON.parse(await new Response(stream).text());
  };
  const { solvers, outcomes, chunk, rows } = await unpack(at("case-index"));
  const packed = [...document.querySelectorAll(".case-chunk")];
  const chunks = new Map();
  const textsOf = async (row) => {
    const number = Math.floor(row / chunk);
    if (!chunks.has(number)) chunks.set(number, unpack(packed[number]));
    return (await chunks.get(number))[row % chunk];
  };
  for (const row of rows) row.hay = `${row.id}\n${row.text}\n${row.key}\n${row.groups.join("\n")}`.toLowerCase();
  const word = (outcome) => outcome.toLowerCase().replace("_", " ");

  // --- the filter -------------------------------------------------------------------------------
  const form = at("browse");
  const [search, split, group, preset] = ["search", "split", "group", "preset"].map((x) => form.elements[x]);
  const whos = [form.elements.who1, form.elements.who2];
  const whats = [form.elements.what1, form.elements.what2];
  const fill = (select, values) => {
    for (const [value, text] of values) select.append(new Option(text.slice(0, 80), value));
  };
  const several = (values) => [...new Set(values)];
  fill(split, several(rows.map((r) => `${r.set}\t${r.split}`)).map((v) => [v, v.replace("\t", ", ")]));
  fill(group, several(rows.flatMap((r) => r.groups)).sort((a, b) => a.localeCompare(b, "en", { numeric: true })).map((v) => [v, v]));
  for (const who of whos) fill(who, solvers.map((v) => [v, v]));
  const used = several(rows.flatMap((r) => Object.values(r.said))).sort((a, b) => a - b).map((i) => outcomes[i]);
  for (const what of whats) fill(what, [["CORRECT", "is right"], [WRONG, "is not right"], ...used.filter((o) => o !== "CORRECT").map((o) => [o, `is ${word(o)}`])]);
  const students = solvers.filter((s) => s !== "base" && s !== "teacher");
  const [first, last] = [students[0], students.at(-1)];
  const presets = [];
  if (first && solvers.includes("base")) {
    presets.push([`${first} right, base wrong`, first, "CORRECT", "base", WRONG]);
    presets.push([`base right, ${first} wrong`, "base", "CORRECT", first, WRONG]);
  }
  if (first !== last) presets.push([`${first} right, ${last} wrong`, first, "CORRECT", last, WRONG]);
  if (first && solvers.includes("teacher")) {
    presets.push([`${first} and teacher wrong`, first, WRONG, "teacher", WRONG]);
    presets.push([`${first} right, teacher wrong`, first, "CORRECT", "teacher", WRONG]);
  }
  fill(preset, presets.map(([text], i) => [String(i), text]));

  const outcomeOf = (row, who) => (who in row.said ? outcomes[row.said[who]] : "");
  const meets = (row, who, what) => {
    if (!who) return true;
    const outcome = outcomeOf(row, who);
    return outcome !== "" && (what === WRONG ? outcome !== "CORRECT" : outcome === what);
  };
  let found = [];
  let listed = 0;
  const filter = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    found = [];
    rows.forEach((row, number) => {
      if (split.value && `${row.set}\t${row.split}` !== split.value) return;
      if (group.value && !row.groups.includes(group.value)) return;
      if (!whos.every((who, i) => meets(row, who.value, whats[i].value))) return;
      if (!words.every((w) => row.hay.includes(w))) return;
      found.push(number);
    });
    at("found").textContent = `${found.length.toLocaleString("en")} of ${rows.length.toLocaleString("en")} problems`;
    at("cases").replaceChildren();
    listed = 0;
    list();
  };

  // --- the list ---------------------------------------------------------------------------------
  const mark = (who, outcome, note = "") => {
    const right = outcome === "CORRECT";
    const element = make("span", right ? "mark right" : "mark", `${right ? "✓" : "✗"} ${who}`);
    element.title = `${who}: ${word(outcome)}${note}`;
    return element;
  };
  const list = () => {
    const items = document.createDocumentFragment();
    for (const number of found.slice(listed, listed + SHOWN)) {
      const row = rows[number];
      const button = make("button", "open");
      button.type = "button";
      button.dataset.row = number;
      const line = make("span", "snippet");
      line.append(make("bdi", "", row.text.slice(0, 220) || "(no text)"));
      const facts = make("span", "about");
      facts.append(make("bdi", "", row.id), make("span", "", ` · ${row.split} · key `), make("bdi", "", row.key));
      const marks = make("span", "marks");
      for (const who of solvers) if (who in row.said) marks.append(mark(who, outcomeOf(row, who)));
      button.append(line, facts, marks);
      const item = make("li");
      item.append(button);
      items.append(item);
    }
    listed = Math.min(found.length, listed + SHOWN);
    at("cases").append(items);
    at("more").hidden = listed >= found.length;
    at("more").textContent = `Show ${Math.min(SHOWN, found.length - listed)} more`;
  };

  // --- one problem ------------------------------------------------------------------------------
  const dialog = at("case");
  let open = -1;
  const block = (text) => {
    const element = make("div", "said");
    element.dir = "auto";
    typeset(element, text || "(nothing)");
    return element;
  };
  const fold = (title, body, isOpen) => {
    const details = make("details");
    const summary = make("summary");
    summary.append(...title);
    details.append(summary);
    const fillIn = () => details.open && !details.dataset.full && (details.dataset.full = "1") && details.append(...body());
    details.addEventListener("toggle", fillIn);
    details.open = isOpen;
    fillIn();
    return details;
  };
  const answer = (said) => {
    const all = said.all.length > 1 ? `; right ${said.all.filter((o) => o === "CORRECT").length} of ${said.all.length} times` : "";
    const title = [mark(said.who, said.outcome || "not judged"), make("span", "quiet", ` ${word(said.outcome || "not judged")}${all}`)];
    if (said.read) title.push(make("span", "quiet", " · read "), make("bdi", "", said.read.slice(0, 80)));
    return fold(title, () => {
      const facts = [`seed ${said.seed}`, `${said.tokens.toLocaleString("en")} tokens`, `ended by ${word(said.finish)}`];
      if (said.why) facts.push(said.why);
      const body = [make("p", "note", facts.join(" · "))];
      if (said.reasoning.trim()) body.push(block(said.reasoning), make("p", "note", "Answer:"));
      body.push(block(said.text));
      return body;
    }, said.who !== "teacher");
  };
  const lesson = (item) => {
    const title = [make("strong", "", item.level), make("span", "quiet", ` ${item.words.toLocaleString("en")} words${item.flags.length ? `, kept out: ${item.flags.join(", ")}` : ""}`)];
    return fold(title, () => [block(item.text)], false);
  };
  const column = (title, parts) => {
    const box = make("div");
    box.append(make("h3", "", title), ...parts);
    return box;
  };
  const show = async (number) => {
    const texts = await textsOf(number);
    const row = rows[number];
    open = number;
    at("case-id").textContent = row.id;
    at("case-about").textContent = [`${row.set}, ${row.split}`, ...row.groups].join(" · ");
    const problem = at("case-text");
    typeset(problem, texts.text);
    const key = at("case-key");
    typeset(key, texts.key);
    const teacher = texts.said.filter((s) => s.who === "teacher");
    const others = texts.said.filter((s) => s.who !== "teacher");
    const columns = [];
    if (teacher.length || texts.lessons.length) columns.push(column("Teacher and lessons", [...teacher.map(answer), ...texts.lessons.map(lesson)]));
    if (others.length) columns.push(column("Base and students", others.map(answer)));
    at("case-columns").replaceChildren(...columns);
    const place = found.indexOf(number);
    at("previous").disabled = place <= 0;
    at("next").disabled = place < 0 || place >= found.length - 1;
    if (!dialog.open) dialog.showModal();
    dialog.scrollTop = 0;
  };
  const step = (by) => {
    const next = found[found.indexOf(open) + by];
    if (next !== undefined) show(next);
  };

  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(filter));
  form.addEventListener("input", (event) => {
    if (event.target === preset) {
      const chosen = presets[preset.value] ?? ["", "", "CORRECT", "", "CORRECT"];
      [whos[0].value, whats[0].value, whos[1].value, whats[1].value] = chosen.slice(1);
    } else if (whos.includes(event.target) || whats.includes(event.target)) {
      preset.value = "";
    }
    filter();
  });
  at("cases").addEventListener("click", (event) => {
    const button = event.target.closest("button.open");
    if (button) show(Number(button.dataset.row));
  });
  at("more").addEventListener("click", () => {
    const next = listed;
    list();
    at("cases").children[next]?.querySelector("button").focus();
  });
  at("previous").addEventListener("click", () => step(-1));
  at("next").addEventListener("click", () => step(1));
  at("close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("keydown", (event) => {
    if (event.target.closest("summary, select, input")) return;
    if (event.key === "ArrowLeft") step(-1);
    if (event.key === "ArrowRight") step(1);
  });
  dialog.addEventListener("close", () => document.querySelector(`button.open[data-row="${open}"]`)?.focus());
  filter();
  form.hidden = false;
  at("browse-wait").hidden = true;
})().catch((error) => {
  document.getElementById("browse-wait").textContent = `The problems could not be unpacked here (${error.message}); they are in problems.jsonl.`;
});
