"use strict";
// Boxes of things: select, draw, move, resize, remove. Numbers are pixels of the picture that is shown.
// A box being shaped (state.shape) is stored by Enter or by letting the mouse go; Escape drops it.
const SIDES = ["nw", "n", "ne", "e", "se", "s", "sw", "w"];

const size = () => state.shown.pictures[state.picture];
const isShaping = () => state.shape !== null;

// Whether a box waits to be kept or dropped first; says so.
function busy() {
  if (isShaping()) say("Enter keeps the box, Escape drops it.", true);
  return isShaping();
}

// Things as the reviewer left them: those of the case, changed, and those that were drawn.
function things() {
  const shown = state.shown, known = new Set(shown.objects.map((o) => o.id));
  const changed = (thing) => ({ ...thing, ...pick(shown.boxes[thing.id]), changed: thing.id in shown.boxes });
  const drawn = Object.entries(shown.boxes).filter(([id]) => !known.has(id));
  return [...shown.objects.map(changed),
    ...drawn.map(([id, change]) => ({ id, name: change.name, mark: "", ...pick(change), changed: true }))];
}

const pick = (change) => change ? { box: change.box, picture: change.picture } : {};
const selected = () => things().find((t) => t.id === state.thing);
const here = (thing) => thing.picture === state.picture;

function drawBoxes(about) {
  const { width, height } = size(), all = things(), space = "http://www.w3.org/2000/svg";
  const boxes = $("boxes");
  boxes.setAttribute("viewBox", `0 0 ${width} ${height}`);
  boxes.setAttribute("preserveAspectRatio", "none");
  const shaped = isShaping() ? state.shape.id : null;
  boxes.replaceChildren(...all.filter((o) => o.box && here(o) && o.id !== shaped).map((o) => {
    const rect = document.createElementNS(space, "rect");
    const [x0, y0, x1, y1] = o.box;
    for (const [key, value] of Object.entries({ x: x0, y: y0, width: x1 - x0, height: y1 - y0 })) rect.setAttribute(key, value);
    rect.setAttribute("class", [about.has(o.id) && "about", o.changed && "changed"].filter(Boolean).join(" "));
    return rect;
  }));
  $("things").replaceChildren(...all.slice(0, 60).map((o) => drawThing(o, about)));
  if (!all.some((o) => o.box)) $("things").append(make("li", "", "no boxes known"));
  drawGrip();
  drawBoxActs();
}

function drawThing(thing, about) {
  const item = make("li", [about.has(thing.id) && "about", thing.id === state.thing && "chosen"].filter(Boolean).join(" "));
  const where = !thing.box ? " (no box)" : state.shown.pictures.length > 1 ? ` (picture ${thing.picture + 1})` : "";
  const button = make("button", "", thing.name + where);
  button.type = "button";
  button.addEventListener("click", () => select(thing.id));
  item.append(button);
  return item;
}

// The frame with handles around the box that is selected or being shaped.
function drawGrip() {
  const grip = $("grip"), thing = selected();
  const box = isShaping() ? state.shape.box : thing && here(thing) ? thing.box : null;
  grip.hidden = !box;
  $("frame").classList.toggle("drawing", isShaping() && state.shape.fresh);
  if (!box) return;
  const { width, height } = size(), [x0, y0, x1, y1] = box;
  grip.style.left = `${100 * x0 / width}%`;
  grip.style.top = `${100 * y0 / height}%`;
  grip.style.width = `${100 * (x1 - x0) / width}%`;
  grip.style.height = `${100 * (y1 - y0) / height}%`;
  if (!grip.children.length) {
    grip.append(...SIDES.map((side) => { const handle = make("i", side); handle.dataset.side = side; return handle; }));
  }
}

function drawBoxActs() {
  const row = $("boxacts"), thing = selected(), nodes = [];
  const add = (label, key, act) => {
    const button = make("button", "", label);
    button.type = "button";
    button.append(make("kbd", "", key));
    button.addEventListener("click", () => Promise.resolve(act()).catch(() => {}));
    nodes.push(button);
  };
  if (state.naming) {
    row.replaceChildren(nameForm());
    row.querySelector("input").focus();
    return;
  }
  if (isShaping()) {
    const corners = state.shape.box.map((v) => Math.round(v)).join(", ");
    nodes.push(make("span", "", `${state.shape.name}: ${corners}`));
    add("Keep box", "enter", keepShape);
    add("Drop it", "esc", dropShape);
  } else {
    add("Draw box", "d", startDrawing);
    if (thing) {
      nodes.push(make("span", "", thing.name));
      if (thing.box) add("Remove box", "x", removeBox);
      if (thing.changed) add("Take box back", "v", takeBoxBack);
    }
  }
  row.replaceChildren(...nodes);
}

// What is to be drawn: a thing that is known and has no box, or a new one.
function nameForm() {
  const form = make("form"), input = make("input"), list = make("datalist"), label = make("label", "", "Draw a box for");
  input.name = "thing";
  input.id = "field-thing";
  input.autocomplete = "off";
  label.htmlFor = input.id;
  list.id = "boxless";
  input.setAttribute("list", list.id);
  for (const thing of things()) {
    if (thing.box) continue;
    const option = make("option");
    option.value = thing.name;
    list.append(option);
  }
  form.append(label, input, list);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const name = input.value.trim();
    if (!name) { say("Say what the box is of.", true); return; }
    const known = things().find((t) => !t.box && t.name === name);
    state.naming = false;
    startShape(known ? known.id : null, name);
  });
  return form;
}

function select(id) {
  if (busy()) return;
  state.thing = id;
  const thing = selected();
  if (thing && thing.box && !here(thing)) showPicture(thing.picture); else draw();
}

function nextThing(by) {
  const all = things();
  if (!all.length) { say("No things are known; d draws a box for a new one."); return; }
  const at = all.findIndex((t) => t.id === state.thing);
  select(all[at < 0 ? (by > 0 ? 0 : all.length - 1) : (at + by + all.length) % all.length].id);
}

function startDrawing() {
  const thing = selected();
  if (thing && !thing.box) { startShape(thing.id, thing.name); return; }
  state.naming = true;
  draw();
}

// A new box begins as the middle of the picture, to be shaped by keys; a drag draws another in its place.
function startShape(id, name) {
  const { width, height } = size();
  const whole = (v) => Math.max(0, Math.round(v));
  const box = [whole(width / 4), whole(height / 4), Math.max(1, whole(3 * width / 4)), Math.max(1, whole(3 * height / 4))];
  state.shape = { id, name, box, fresh: true };
  $("boxes").classList.remove("off");
  draw();
}

function dropShape() {
  state.shape = null;
  state.naming = false;
  draw();
}

async function keepShape() {
  const { id, name, box } = state.shape;
  await sendBox({ thing: id, name, box, picture: state.picture });
}

async function removeBox() {
  const thing = selected();
  if (!thing || !thing.box) { say("Select a thing with a box first: t, or a click."); return; }
  const isNew = !state.shown.objects.some((o) => o.id === thing.id);
  await sendBox(isNew ? { thing: thing.id, back: true } : { thing: thing.id, box: null, picture: thing.picture });
}

async function takeBoxBack() {
  const thing = selected();
  if (!thing || !thing.changed) { say("The box of no changed thing is selected."); return; }
  await sendBox({ thing: thing.id, back: true, picture: thing.picture });
}

async function sendBox(change) {
  const shown = state.shown, thing = shown.objects.find((o) => o.id === change.thing);
  const sent = { number: state.number, case: shown.id, about: thing ? thing.mark : "", ...change };
  let done;
  try { done = await ask("/box", sent); } catch (error) { await lookAtThing(change.thing); throw error; }
  if (state.shown !== shown) return;
  if (done.change) shown.boxes[done.thing] = done.change; else delete shown.boxes[done.thing];
  state.shape = null;
  state.thing = things().some((t) => t.id === done.thing) ? done.thing : null;
  draw();
}

// A box was refused. A thing that somebody changed is shown anew; else the shape stays, to be mended.
async function lookAtThing(id) {
  const now = await ask(`/case/${state.number}`);
  const mark = (shown) => (shown.objects.find((o) => o.id === id) || { mark: "" }).mark;
  if (now.id === state.shown.id && mark(now) === mark(state.shown)) return;
  state.shape = null;
  await show(state.number, state.step);
}

// Keys while a box is selected or being shaped; true where the key was one of these.
function boxKey(event) {
  const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  const thing = selected();
  if (isShaping() && event.key === "Enter") { keepShape().catch(() => {}); return true; }
  if (event.key === "Escape" && (isShaping() || state.naming)) { dropShape(); return true; }
  if (event.key === "Escape" && state.thing !== null) { state.thing = null; draw(); return true; }
  const by = arrows[event.key];
  if (by && (isShaping() || (thing && thing.box && here(thing)))) {
    shapeBy(by, event.shiftKey);
    return true;
  }
  return event.key.length === 1 && busy();
}

// Arrows move a box by one pixel; with Shift they move its lower right corner.
function shapeBy([dx, dy], resize) {
  const thing = selected(), { width, height } = size();
  state.shape ??= { id: thing.id, name: thing.name, box: [...thing.box], fresh: false };
  state.shape.box = resize ? resized(state.shape.box, "se", dx, dy, width, height) : moved(state.shape.box, dx, dy, width, height);
  draw();
}

const within = (value, low, high) => Math.max(low, Math.min(high, value));

function moved([x0, y0, x1, y1], dx, dy, width, height) {
  const x = within(dx, -x0, width - x1), y = within(dy, -y0, height - y1);
  return [x0 + x, y0 + y, x1 + x, y1 + y];
}

function resized(box, side, dx, dy, width, height) {
  let [x0, y0, x1, y1] = box;
  if (side.includes("w")) x0 = within(x0 + dx, 0, x1 - 1);
  if (side.includes("e")) x1 = within(x1 + dx, x0 + 1, width);
  if (side.includes("n")) y0 = within(y0 + dy, 0, y1 - 1);
  if (side.includes("s")) y1 = within(y1 + dy, y0 + 1, height);
  return [x0, y0, x1, y1];
}

// A point of the screen in whole pixels of the picture.
function pixel(event) {
  const frame = $("picture").getBoundingClientRect(), { width, height } = size();
  return [within(Math.round((event.clientX - frame.left) / frame.width * width), 0, width),
    within(Math.round((event.clientY - frame.top) / frame.height * height), 0, height)];
}

function boxAt([x, y]) {
  const area = ({ box: [x0, y0, x1, y1] }) => (x1 - x0) * (y1 - y0);
  const hit = things().filter((t) => t.box && here(t) && t.box[0] <= x && x <= t.box[2] && t.box[1] <= y && y <= t.box[3]);
  return hit.sort((a, b) => area(a) - area(b))[0];
}

function pressed(event) {
  if (event.button !== 0 || !state.shown) return;
  const at = pixel(event), side = event.target.dataset.side, thing = selected();
  const kept = isShaping() ? state.shape : thing && thing.box && here(thing) ? { id: thing.id, name: thing.name, box: thing.box, fresh: false } : null;
  if (kept && side) drag(event, at, kept, (dx, dy, w, h) => resized(kept.box, side, dx, dy, w, h));
  else if (isShaping() && state.shape.fresh) drag(event, at, kept, (dx, dy) => [at[0], at[1], at[0] + dx, at[1] + dy], true);
  else if (kept && event.target === $("grip")) drag(event, at, kept, (dx, dy, w, h) => moved(kept.box, dx, dy, w, h));
  else if (!isShaping() && !state.editing && !state.naming && !$("boxes").classList.contains("off")) {
    const hit = boxAt(at);
    state.thing = hit ? hit.id : null;
    draw();
  }
}

// Follow the pointer until it is let go; then the box is stored. A press that moves nothing changes nothing.
function drag(event, from, kept, shape, isNew) {
  event.preventDefault();
  const frame = $("frame"), { width, height } = size(), shown = state.shown;
  const follow = (e) => {
    const [x, y] = pixel(e), dx = x - from[0], dy = y - from[1];
    if (state.shown !== shown || (dx === 0 && dy === 0)) return;
    const [a, b, c, d] = shape(dx, dy, width, height);
    const box = isNew ? [Math.min(a, c), Math.min(b, d), Math.max(a, c), Math.max(b, d)] : [a, b, c, d];
    state.shape = { ...kept, box };
    drawGrip();
  };
  const end = (e) => {
    frame.removeEventListener("pointermove", follow);
    frame.removeEventListener("pointerup", end);
    frame.removeEventListener("pointercancel", end);
    if (state.shown !== shown || !isShaping() || state.shape === kept) return;
    if (e.type === "pointercancel") { state.shape = kept.fresh ? kept : null; draw(); return; }
    keepShape().catch(() => draw());
  };
  frame.setPointerCapture(event.pointerId);
  frame.addEventListener("pointermove", follow);
  frame.addEventListener("pointerup", end);
  frame.addEventListener("pointercancel", end);
}
