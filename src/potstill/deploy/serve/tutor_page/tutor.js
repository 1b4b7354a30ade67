"use strict";
(async () => {
  const LISTED = 1000; // options in the list at once; the search narrows it
  const SETTLE_MS = 350; // how long the dial rests before its level is asked
  const page = Object.fromEntries([...document.querySelectorAll("[id]")].map((x) => [x.id, x]));
  const answers = new Map(); // what was said to each problem at each level
  const uncovered = new Set(); // the problems whose teacher may be seen: tried, or asked to be shown
  let study, shown = null, picking = null, asking = null, resting = 0, begun = false;

  const level = () => study.levels[Number(page.dial.value)];
  const own = () => page["of-own"].checked;
  const question = () => (own() ? { text: page["own-problem"].value } : { problem: shown?.id });
  const key = (name) => JSON.stringify([question(), name]);
  const ready = () => (own() ? page["own-problem"].value.trim() !== "" : shown !== null);

  /** The JSON that a path answers with; throws an Error in the server's words. */
  async function get(path, body, signal) {
    const post = { method: "POST", headers: { "Content-Type": "application/json" }, signal };
    const reply = await fetch(path, body && { ...post, body: JSON.stringify(body) });
    if (reply.ok) return reply;
    const told = await reply.json().catch(() => null);
    throw new Error(told?.error?.message ?? `the server answered ${reply.status}`);
  }

  /** Runs what may fail; a failure is told on the page. */
  async function tried(doing) {
    page.trouble.hidden = true;
    try {
      await doing();
    } catch (error) {
      if (error.name === "AbortError") return;
      const gone = error instanceof TypeError; // fetch's own word for no connection
      page.trouble.textContent = gone ? "The tutor does not answer; is potstill tutor still running?" : `That did not work: ${error.message}`;
      page.trouble.hidden = false;
    }
  }

  function fillList() {
    const wanted = page.search.value.trim().toLowerCase().split(/\s+/);
    const fits = study.problems.filter((p) => wanted.every((w) => `${p.id} ${p.text}`.toLowerCase().includes(w)));
    const groups = new Map();
    for (const problem of fits.slice(0, LISTED)) {
      if (!groups.has(problem.split)) groups.set(problem.split, Object.assign(document.createElement("optgroup"), { label: problem.split }));
      groups.get(problem.split).append(new Option(problem.text, problem.id));
    }
    page.list.replaceChildren(...groups.values());
    page.list.value = shown?.id ?? "";
    const count = (n) => n.toLocaleString("en");
    page.listed.textContent = fits.length > LISTED ? `The first ${LISTED} of ${count(fits.length)} problems; a search narrows them.` : `${count(fits.length)} of ${count(study.problems.length)} problems.`;
  }

  /** Shows a problem; of two picked in a hurry the later one stays, whichever is here first. */
  async function pick(id) {
    const mine = (picking = get(`/problem?id=${encodeURIComponent(id)}`).then((reply) => reply.json()));
    const problem = await mine;
    if (picking !== mine) return;
    shown = problem;
    page.list.value = id;
    page["own-answer"].value = "";
    show();
  }

  /** Everything on the page, as what is chosen now has it. */
  function show() {
    asking?.abort();
    asking = null;
    const now = level(), mine = own();
    page.picking.hidden = mine;
    page.typing.hidden = !mine;
    typeset(page.problem, mine ? page["own-problem"].value : (shown?.text ?? ""));
    page.split.textContent = mine || !shown ? "" : `${shown.id}, ${shown.split}`;
    page.key.hidden = mine || !shown;
    page.key.open = false;
    typeset(page["key-text"], shown ? asMath(shown.key) : "");
    showTeacher(mine ? null : shown, now.level);
    page.sure.textContent = `${now.level}${now.level === study.best && study.levels.length > 1 ? ", the best here" : ""}: ${now.sure}.`;
    page.compared.replaceChildren();
    showTicks();
    showAnswer(answers.get(key(now.level)));
  }

  function showTeacher(problem, name) {
    const teacher = problem?.teacher;
    const covered = Boolean(teacher) && !uncovered.has(problem.id);
    page.covered.hidden = !covered;
    page.taught.hidden = covered;
    typeset(page.reasoning, teacher?.reasoning.trim() ?? "");
    typeset(page.answer, teacher?.text.trim() ?? "");
    page.answer.classList.toggle("answer", Boolean(teacher?.reasoning.trim()));
    showVerdict(page["teacher-verdict"], teacher?.verdict);
    page["teacher-counts"].textContent = teacher ? `${teacher.solver}, ${words(teacher.reasoning + " " + teacher.text)} words, ${teacher.tokens} tokens` : "The study has no reasoning of the teacher for this problem.";
    const lesson = problem?.lessons[name];
    page.lesson.hidden = lesson === undefined;
    page["lesson-name"].textContent = `Its lesson at ${name}`;
    typeset(page["lesson-text"], lesson ?? "");
  }

  function showTicks() {
    const ticks = study.levels.map(({ level: name }, i) => {
      const tick = document.createElement("div");
      tick.append(Object.assign(document.createElement("b"), { textContent: name }));
      for (const [text, outcome] of marks(name)) {
        const line = Object.assign(document.createElement("span"), { textContent: text });
        line.dataset.outcome = outcome;
        tick.append(line);
      }
      tick.className = i === Number(page.dial.value) ? "now" : "";
      tick.addEventListener("click", () => turn(i));
      return tick;
    });
    page.ticks.replaceChildren(...ticks);
    page.dial.setAttribute("aria-valuetext", [level().level, ...marks(level().level).map(([text]) => text)].join(", "));
  }

  /** What came of a level on this problem: its verdict in a word, and its length. */
  function marks(name) {
    const end = answers.get(key(name))?.end;
    if (!end) return [];
    const outcome = end.verdict?.outcome ?? "";
    const word = { CORRECT: "right", WRONG: "wrong" }[outcome];
    const length = [`${end.words} word${end.words === 1 ? "" : "s"}`, ""];
    return word ? [[word, outcome], length] : [length];
  }

  function showAnswer(answer) {
    page["h-student"].textContent = `The student at ${level().level}`;
    typeset(page.said, answer?.text ?? "");
    page.said.toggleAttribute("aria-busy", false);
    const end = answer?.end;
    showVerdict(page.verdict, end?.verdict);
    const cut = end?.finish === "LENGTH" ? ", cut at its token limit" : "";
    page.counts.textContent = end ? `${end.words} words, ${end.tokens} tokens, ${end.seconds} s${cut}` : answer ? "" : "Not asked yet.";
    page.ask.textContent = `Ask ${level().level}${answer ? " again" : ""}`;
    page.ask.disabled = !ready();
    page.state.textContent = end ? [`${level().level} has answered`, end.verdict?.word].filter(Boolean).join(": ") + "." : "";
  }

  function showVerdict(box, verdict, about = "") {
    box.hidden = !verdict;
    if (!verdict) return;
    box.dataset.outcome = verdict.outcome;
    const word = Object.assign(document.createElement("b"), { textContent: about + verdict.word });
    const read = document.createElement("span");
    typeset(read, verdict.read ? `; read as ${asMath(verdict.read)}` : "");
    const why = verdict.why && verdict.outcome !== "CORRECT" ? ` (${verdict.why})` : "";
    box.replaceChildren(word, read, document.createTextNode(`${why}.`));
  }

  /** A key or an answer that stands without its dollars. */
  const asMath = (text) => (/[\\^_{}]/.test(text) && !text.includes("$") ? `\\(${text}\\)` : text);
  const words = (text) => text.split(/\s+/).filter(Boolean).length;

  async function ask() {
    await picking; // who asks at once after picking asks what was picked
    if (!ready()) return;
    asking?.abort();
    const stop = (asking = new AbortController());
    const name = level().level, place = key(name);
    const answer = { text: "", end: null };
    begun = true;
    showAnswer(answer);
    page.said.setAttribute("aria-busy", "true");
    page.ask.textContent = "Stop";
    page.state.textContent = `${name} answers…`;
    try {
      for await (const event of events(await get("/answer", { ...question(), level: name }, stop.signal))) {
        if (stop.signal.aborted) return;
        if (event.error) throw new Error(event.error);
        answer.text += event.piece ?? "";
        answer.end = event.end ?? null;
        typeset(page.said, answer.text);
      }
      if (!answer.end) throw new Error("the answer broke off");
      answers.set(place, answer);
    } finally {
      if (asking === stop) {
        asking = null;
        showAnswer(answer.end || answer.text ? answer : undefined);
        if (!answer.end && answer.text) page.counts.textContent = "Stopped.";
        showTicks();
      }
    }
  }

  /** The events of a stream, parsed. */
  async function* events(reply) {
    const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let held = ""; ; ) {
      const { value, done } = await reader.read();
      if (done) return;
      const lines = (held + value).split("\n\n");
      held = lines.pop();
      for (const line of lines) yield JSON.parse(line.slice("data: ".length));
    }
  }

  /** Turns the dial; once a level was asked, the level that it rests at is asked too. */
  function turn(to) {
    page.dial.value = String(to);
    show();
    clearTimeout(resting);
    if (begun && ready() && !answers.has(key(level().level))) resting = setTimeout(() => tried(ask), SETTLE_MS);
  }

  /** What was typed beside the key, then beside what the student said; after it the teacher may be seen. */
  async function compare() {
    const name = level().level, said = answers.get(key(name))?.text ?? "";
    const found = await (await get("/compare", { ...question(), said, own: page["own-answer"].value })).json();
    const rows = [];
    if (found.key) rows.push(["Your answer: ", found.key]);
    if (found.student) rows.push(["", { ...found.student, ...beside(name, found.student) }]);
    page.compared.replaceChildren(
      ...rows.map(([about, verdict]) => {
        const box = Object.assign(document.createElement("p"), { className: "verdict" });
        showVerdict(box, verdict, about);
        return box;
      }),
    );
    if (!rows.length) page.compared.textContent = "There is no key to check it by; ask a level, and check again to see whether it agrees.";
    if (own() || !shown) return;
    uncovered.add(shown.id);
    showTeacher(shown, name);
  }

  /** Whether a student agrees with what was typed: neither is called wrong by it. */
  function beside(name, verdict) {
    const agrees = { CORRECT: `${name} agrees with you`, WRONG: `${name} answered something else` };
    if (verdict.outcome === "BAD_KEY") return { outcome: "", word: `${name} cannot be compared: your answer cannot be read`, why: "", read: "" };
    const known = agrees[verdict.outcome];
    return { outcome: "", word: known ?? `${name} gave no answer to compare with yours`, why: known ? "" : verdict.why };
  }

  function forget() {
    begun = false;
    clearTimeout(resting);
  }

  await tried(async () => {
    study = await (await get("/study")).json();
    document.title = `${study.name}: Potstill tutor`;
    page.name.textContent = study.name;
    page.about.textContent = study.about;
    page.dial.max = String(study.levels.length - 1);
    page.dial.closest(".dial").style.setProperty("--n", study.levels.length);
    page.dial.closest(".dial").hidden = study.levels.length < 2;
    page.dial.value = String(Math.max(0, study.levels.findIndex((x) => x.level === study.best)));
    fillList();
    page.search.addEventListener("input", fillList);
    page.list.addEventListener("change", () => tried(() => (forget(), pick(page.list.value))));
    page.any.addEventListener("click", () => tried(() => {
      const held = study.problems.filter((p) => p.split === study.problems[0].split);
      forget();
      return pick(held[Math.floor(Math.random() * held.length)].id);
    }));
    for (const source of ["of-study", "of-own"]) page[source].addEventListener("change", () => (forget(), show()));
    page["own-problem"].addEventListener("input", () => (forget(), show()));
    page.dial.addEventListener("input", () => turn(Number(page.dial.value)));
    page.ask.addEventListener("click", () => (asking ? asking.abort() : tried(ask)));
    page.uncover.addEventListener("click", () => {
      uncovered.add(shown.id);
      showTeacher(shown, level().level);
      page["h-teacher"].focus();
    });
    page.own.addEventListener("submit", (event) => (event.preventDefault(), tried(compare)));
    if (study.problems.length) await pick(study.problems[0].id);
    else page["of-own"].checked = true;
    show();
  });
})();
