"use strict";
// Everything that comes from the cases is put in as text, never as markup.
const token = document.querySelector("meta[name=token]").content;
const $ = (id) => document.getElementById(id);
const state = {
  cases: [], functions: [], spatial: new Set(), number: 0, step: 0, shown: null, editing: false,
  picture: 0, thing: null, shape: null, naming: false, // the picture that is shown, the thing selected, its box being shaped
};

function make(tag, className, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
}

function say(text, bad) {
  const note = $("note");
  note.textContent = text;
  note.className = bad ? "bad" : "";
  note.hidden = false;
  clearTimeout(say.timer);
  say.timer = setTimeout(() => { note.hidden = true; }, bad ? 9000 : 3500);
}

async function ask(path, body) {
  const options = body === undefined ? {} : {
    method: "POST", headers: { "Content-Type": "application/json", "X-Headscope": token }, body: JSON.stringify(body),
  };
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    say("The review server does not answer. Start `headscope data review` again; verdicts given so far are kept.", true);
    throw new Error("no server");
  }
  let value;
  try { value = await answer.json(); } catch { value = { error: `status ${answer.status}: reload the page` }; }
  if (!answer.ok) { say(value.error, true); throw new Error(value.error); }
  return value;
}

const titled = (name) => name === "main" ? "main question" : name.replaceAll("_", " ");

function meter() {
  const judged = state.cases.reduce((n, c) => n + c.judged, 0);
  const all = state.cases.reduce((n, c) => n + c.steps, 0);
  $("progress").textContent = `${judged.toLocaleString("en")} of ${all.toLocaleString("en")} judged`;
  document.querySelector("#meter i").style.width = `${all ? 100 * judged / all : 0}%`;
}

async function overview() {
  const found = await ask("/cases");
  state.cases = found.cases;
  state.functions = found.functions;
  state.spatial = new Set(found.spatial);
  $("name").textContent = found.folder || "Review";
  document.title = `Review of ${found.folder}`;
  $("who").textContent = `reviewed by ${found.reviewer}`;
  meter();
}

async function show(number, step) {
  const last = state.cases.length - 1, was = state.shown;
  state.number = Math.max(0, Math.min(last, number));
  state.shown = await ask(`/case/${state.number}`);
  state.editing = state.naming = false;
  state.shape = null;
  const first = state.shown.steps.findIndex((s) => !(s.id in state.shown.verdicts));
  state.step = step === undefined ? Math.max(0, first) : Math.max(0, Math.min(state.shown.steps.length - 1, step));
  if (!was || was.id !== state.shown.id) {
    state.picture = 0;
    state.picture = pictureOf(state.shown.steps[state.step]) ?? 0;
    state.thing = null;
  }
  showPicture(Math.min(state.picture, state.shown.pictures.length - 1));
}

// The picture that a step is about, where the one that is shown holds nothing of it.
function pictureOf(step) {
  const seen = things().filter((t) => t.box && step.objects.includes(t.id)).map((t) => t.picture);
  return seen.length && !seen.includes(state.picture) ? seen[0] : undefined;
}

function showPicture(which) {
  const { shown } = state, { width, height } = shown.pictures[which], image = $("picture");
  state.picture = which;
  image.src = `/picture/${state.number}/${which}?${encodeURIComponent(shown.id)}`;
  image.style.height = height < 300 && width < 500 ? `${Math.min(480, 3 * height)}px` : "";
  image.alt = shown.pictures.length > 1 ? `Picture ${which + 1} of case ${shown.id}` : `Picture of case ${shown.id}`;
  draw();
}

function nextPicture(by) {
  const count = state.shown.pictures.length;
  if (count < 2) { say("This case has one picture."); return; }
  if (busy()) return;
  state.thing = null;
  showPicture((state.picture + by + count) % count);
}

function drawPictures() {
  const row = $("pictures"), count = state.shown.pictures.length;
  row.hidden = count < 2;
  row.replaceChildren(...state.shown.pictures.map((_, i) => {
    const button = make("button", i === state.picture ? "true" : "", `Picture ${i + 1}`);
    button.type = "button";
    button.setAttribute("aria-pressed", String(i === state.picture));
    button.addEventListener("click", () => nextPicture(i - state.picture));
    return button;
  }));
}

function draw() {
  const shown = state.shown, now = shown.steps[state.step];
  history.replaceState(null, "", `#case=${state.number + 1}&step=${state.step + 1}`);
  $("place").textContent = `case ${(state.number + 1).toLocaleString("en")} of ${state.cases.length.toLocaleString("en")}`;
  $("id").textContent = shown.id;
  $("kind").textContent = [shown.kind, shown.source].filter(Boolean).join(" · ");
  const main = shown.steps[shown.steps.length - 1];
  $("question").textContent = main.question;
  drawPictures();
  drawBoxes(new Set(now.objects));
  $("steps").replaceChildren(...shown.steps.map(drawStep));
  const at = $("steps").children[state.step];
  if (state.editing) at.querySelector("input[name=answer]").select();
  at.scrollIntoView({ block: "nearest" });
}

function drawStep(step, index) {
  const verdict = state.shown.verdicts[step.id], now = index === state.step;
  const item = make("li", [verdict ? verdict.ruling : "", now ? "now" : ""].join(" ").trim());
  const words = verdict && verdict.ruling === "fix" ? verdict : step;
  const top = make("div", "top");
  top.append(make("span", `function${state.spatial.has(words.function) ? " spatial" : ""}`, titled(words.function)));
  if (step.origin && step.origin !== "unanswered") top.append(make("span", "", step.origin));
  if (verdict) top.append(make("span", "ruling", { accept: "accepted", fix: "fixed", reject: "rejected" }[verdict.ruling]));
  item.append(top);
  if (!(now && state.editing)) item.append(make("div", "asked", words.question));
  const answer = make("div", words.answer ? "answer" : "answer none", words.answer || "not answered yet");
  if (words !== step && step.answer && step.answer !== words.answer) answer.append(make("span", "was", step.answer));
  if (!(now && state.editing)) item.append(answer);
  if (now && state.editing) item.append(drawForm(step, words));
  else if (now) item.append(drawChoices(step, words), drawActs(verdict));
  item.addEventListener("click", (event) => {
    if (index !== state.step && !event.target.closest("button")) { state.editing = false; goTo(index); }
  });
  return item;
}

function drawChoices(step, words) {
  const row = make("div", "choices");
  step.choices.slice(0, 9).forEach((choice, i) => {
    const button = make("button", choice === words.answer ? "true" : "", choice);
    button.type = "button";
    button.append(make("kbd", "", String(i + 1)));
    button.addEventListener("click", () => answerWith(choice));
    row.append(button);
  });
  return row;
}

function drawActs(verdict) {
  const row = make("div", "acts");
  const acts = [["Accept", "a", () => judge("accept")], ["Fix", "f", edit], ["Reject", "r", () => judge("reject")]];
  if (verdict) acts.push(["Take back", "u", () => judge(null)]);
  for (const [label, key, act] of acts) {
    const button = make("button", "", label);
    button.type = "button";
    button.append(make("kbd", "", key));
    button.addEventListener("click", act);
    row.append(button);
  }
  return row;
}

function drawForm(step, words) {
  const form = make("form");
  const field = (name, node) => {
    const label = make("label", "", name[0].toUpperCase() + name.slice(1));
    node.name = name;
    node.id = `field-${name}`;
    label.htmlFor = node.id;
    form.append(label, node);
  };
  for (const name of ["question", "answer"]) {
    const input = make("input");
    input.value = words[name];
    input.autocomplete = "off";
    field(name, input);
  }
  if (step.id !== "main") {
    const select = make("select");
    for (const f of state.functions) {
      const option = make("option", "", `${titled(f.name)} (${f.title})`);
      option.value = f.name;
      option.selected = f.name === words.function;
      select.append(option);
    }
    field("function", select);
  }
  const acts = make("div", "acts"), save = make("button", "main", "Save"), cancel = make("button", "", "Cancel");
  cancel.type = "button";
  cancel.append(make("kbd", "", "esc"));
  cancel.addEventListener("click", () => { state.editing = false; draw(); });
  acts.append(save, cancel);
  form.append(acts);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const data = Object.fromEntries(new FormData(form));
    judge("fix", data);
  });
  return form;
}

function goTo(index) {
  state.step = index;
  const which = isShaping() ? undefined : pictureOf(state.shown.steps[index]);
  if (which === undefined) draw(); else showPicture(which);
}

function edit() { state.editing = true; draw(); }

function answerWith(choice) {
  const step = state.shown.steps[state.step];
  if (choice === step.answer) judge("accept");
  else judge("fix", { answer: choice });
}

async function judge(ruling, change) {
  if (busy()) return;
  const shown = state.shown, step = shown.steps[state.step], had = step.id in shown.verdicts;
  const sent = { number: state.number, case: shown.id, step: step.id, about: step.mark, ruling, change };
  let verdict;
  try { ({ verdict } = await ask("/judge", sent)); } catch (error) { await lookAgain(step); throw error; }
  if (state.shown !== shown) return;
  if (verdict) shown.verdicts[step.id] = verdict; else delete shown.verdicts[step.id];
  state.cases[state.number].judged += (verdict ? 1 : 0) - (had ? 1 : 0);
  state.editing = false;
  meter();
  if (verdict && state.step < shown.steps.length - 1) { goTo(state.step + 1); return; }
  if (verdict && !unjudged() && state.number < state.cases.length - 1) { await show(state.number + 1); return; }
  draw();
}

// A verdict was refused. Words that somebody changed are shown anew; else what was typed stays.
async function lookAgain(step) {
  const now = await ask(`/case/${state.number}`);
  const same = now.id === state.shown.id && now.steps.some((s) => s.id === step.id && s.mark === step.mark);
  if (!same) await show(state.number, state.step);
}

const unjudged = () => state.shown.steps.some((s) => !(s.id in state.shown.verdicts));

async function nextOpen() {
  const count = state.cases.length;
  for (let i = 1; i <= count; i += 1) {
    const at = (state.number + i) % count;
    if (state.cases[at].judged < state.cases[at].steps) { await show(at); return; }
  }
  say("Everything is judged.");
}

async function undo() {
  const done = await ask("/undo", {});
  state.cases[done.number].judged = done.judged;
  const same = state.number === done.number;
  await show(done.number, done.step ?? (same ? state.step : undefined));
  if (done.picture !== null && state.shown.pictures[done.picture]) showPicture(done.picture);
  meter();
  say(`Undone: ${done.undone}.`);
}

async function writeBack() {
  const done = await ask("/write", {});
  say(`Written: ${done.accepted} accepted, ${done.fixed} fixed, ${done.rejected} rejected, ${done.boxes} boxes changed; ${done.cases_left_out} cases left out.`
    + (done.stale.length ? ` Not counted, since somebody changed them: ${done.stale.slice(0, 5).join(", ")}.` : ""));
  await overview();
  await show(state.number, state.step);
}

function keys(on) {
  const box = $("keys");
  box.hidden = on === undefined ? !box.hidden : !on;
  $("help").setAttribute("aria-expanded", String(!box.hidden));
}

const acts = {
  a: () => judge("accept"), f: edit, r: () => judge("reject"), u: () => judge(null),
  j: () => move(1), k: () => move(-1), ArrowDown: () => move(1), ArrowUp: () => move(-1),
  n: () => show(state.number + 1), p: () => show(state.number - 1),
  ArrowRight: () => show(state.number + 1), ArrowLeft: () => show(state.number - 1),
  o: nextOpen, w: writeBack, z: undo, d: startDrawing, x: removeBox, v: takeBoxBack,
  t: () => nextThing(1), T: () => nextThing(-1), "[": () => nextPicture(-1), "]": () => nextPicture(1),
  b: () => $("boxes").classList.toggle("off"), "?": () => keys(),
  Escape: () => keys(false),
};

function move(by) {
  goTo(Math.max(0, Math.min(state.shown.steps.length - 1, state.step + by)));
}

document.addEventListener("keydown", (event) => {
  if (!state.shown) return;
  const inField = state.editing || state.naming;
  if ((event.ctrlKey || event.metaKey) && event.key === "z" && !inField && !isShaping()) {
    event.preventDefault();
    undo().catch(() => {});
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (state.editing) {
    if (event.key === "Escape") { state.editing = false; draw(); }
    return;
  }
  if (state.naming && event.key !== "Escape") return;
  if (boxKey(event)) { event.preventDefault(); return; }
  const choice = /^[1-9]$/.test(event.key) && state.shown.steps[state.step].choices[Number(event.key) - 1];
  const act = choice ? () => answerWith(choice) : acts[event.key];
  if (act && !event.repeat) {
    event.preventDefault();
    Promise.resolve(act()).catch(() => {});
  } else if (act && /^Arrow|^[jk]$/.test(event.key)) { event.preventDefault(); act(); }
});
const run = (act) => { if (!busy()) Promise.resolve(act()).catch(() => {}); };
$("undo").addEventListener("click", () => run(undo));
$("open").addEventListener("click", () => run(nextOpen));
$("write").addEventListener("click", () => run(writeBack));
$("help").addEventListener("click", () => keys());
$("previous").addEventListener("click", () => run(() => show(state.number - 1)));
$("next").addEventListener("click", () => run(() => show(state.number + 1)));
$("frame").addEventListener("pointerdown", pressed);
window.addEventListener("unhandledrejection", (event) => event.preventDefault());

(async () => {
  await overview();
  const at = new URLSearchParams(location.hash.slice(1));
  const number = Number(at.get("case")), step = Number(at.get("step"));
  if (number >= 1) await show(number - 1, step >= 1 ? step - 1 : undefined);
  else await show(0);
  document.body.dataset.ready = "yes";
})().catch(() => {});
