
// Attention over the picture: of a case, a question and a head, all chosen by the reader.
(function () {
  const data = page.data("attention-data");
  if (!data) return;
  const get = (id) => document.getElementById(id);
  const [caseChoice, asked, headChoice, measure] = ["attention-case", "attention-question", "attention-head", "attention-by"].map(get);
  const at = get("attention-shown"), said = get("attention-said"), figures = get("attention-figures"), map = get("attention-map");
  const UNSEEN = 65535, WHOLE = 65534, HEAT = "#c2185b", STRONGEST = 0.85, unpacked = new Map();

  async function bytes(text) {
    const raw = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    const stream = new Blob([raw]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new DataView(await new Response(stream).arrayBuffer());
  }
  // The figures of one question: cells as bytes, then two bytes a head for each kind of share.
  async function read(question) {
    if (unpacked.has(question)) return unpacked.get(question);
    const view = await bytes(question.cells), size = question.rows * question.columns, count = data.heads.length;
    const share = (kind, head) => {
      const value = view.getUint16(count * size + 2 * (kind * count + head), true);
      return value === UNSEEN ? null : value / WHOLE;
    };
    const found = {
      cell: (head, i) => view.getUint8(head * size + i) / 255,
      picture: (head) => share(0, head),
      peak: (head) => share(1, head),
      box: (head, i) => share(2 + i, head),
      wrote: (head) => {
        const part = share(2 + question.boxes.length, head);
        return part === null ? null : part * question.written;
      },
      named: (head) => question.boxes.reduce((most, box, i) => (box[2] ? Math.max(most, share(2 + i, head) || 0) : most), 0),
    };
    unpacked.set(question, found);
    return found;
  }
  function fill(select, options) {
    select.replaceChildren(...options);
  }
  function heads() {
    const groups = data.functions.filter((f) => f.heads.length).map((f) => {
      const group = page.make("optgroup");
      group.label = f.name + (f.claimed ? ": claimed" : ": muted, no claim");
      group.append(...f.heads.map((h) => page.option(h, data.heads[h])));
      return group;
    });
    const every = page.make("optgroup");
    every.label = "every head";
    every.append(...data.heads.map((label, i) => page.option(i, label)));
    fill(headChoice, [...groups, every]);
  }
  function questions() {
    fill(asked, data.cases[Number(caseChoice.value)].questions.map((q, i) => page.option(i, q.function + ": " + q.question)));
    const main = data.cases[Number(caseChoice.value)].questions.findIndex((q) => q.function === "main question");
    asked.value = String(Math.max(0, main));
  }
  function labels(head) {
    const found = data.functions.filter((f) => f.heads.includes(head)).map((f) => f.name + (f.claimed ? " (claimed)" : " (muted, no claim)"));
    return found.length ? "among the heads of " + found.join(", ") : "of no function\u2019s muted heads";
  }
  function cells(question, found, head) {
    const [x0, y0, x1, y1] = question.area, wide = (x1 - x0) / question.columns, high = (y1 - y0) / question.rows;
    const group = page.drawn("g", { class: "cells" });
    for (let i = 0; i < question.rows * question.columns; i++) {
      const value = found.cell(head, i), row = Math.floor(i / question.columns), column = i % question.columns;
      group.append(page.drawn("rect", { x: x0 + column * wide, y: y0 + row * high, width: wide, height: high, fill: HEAT,
        "fill-opacity": (STRONGEST * value).toFixed(3), "shape-rendering": "crispEdges", "data-tip": page.percent(value * (found.peak(head) || 0), 2) + " of the head\u2019s attention" }));
    }
    return group;
  }
  const measures = {
    named: ["greatest share of attention on one box that the question is about", (f, h) => (f.picture(h) === null ? null : f.named(h)), (v) => page.percent(v)],
    picture: ["share of attention on the picture", (f, h) => f.picture(h), (v) => page.percent(v)],
    wrote: ["length of what the head writes", (f, h) => f.wrote(h), (v) => v.toFixed(2)],
  };
  function drawMap(found, head) {
    const [name, value, form] = measures[measure.value];
    const columns = 1 + Math.max(...data.places.map((p) => p[1])), rows = data.layers.length, size = 14, left = 30;
    const values = data.heads.map((_, h) => value(found, h)), top = Math.max(...values.map((v) => v || 0)) || 1;
    const best = values.map((v, h) => [v || 0, h]).sort((a, b) => b[0] - a[0]).slice(0, 3).map(([v, h]) => data.heads[h] + " " + form(v));
    const svg = page.drawn("svg", { viewBox: "0 0 " + (left + columns * size + 2) + " " + (rows * size + 2), role: "img",
      "aria-label": "Map of heads, " + name + ": greatest " + best.join(", ") + ". The list of heads above chooses among them too.", style: "max-width:" + 1.8 * (left + columns * size) + "px" });
    data.places.forEach(([row, column], h) => {
      const v = values[h];
      const cell = page.drawn("rect", { x: left + column * size, y: 1 + row * size, width: size - 1, height: size - 1, fill: v === null ? "#fff" : shade(v / top),
        stroke: h === head ? "#1f2328" : "none", "stroke-width": 2, "data-head": h, "data-tip": data.heads[h] + ": " + (v === null ? "not seen" : form(v)) });
      svg.append(cell);
    });
    data.layers.forEach((layer, row) => {
      const every = Math.ceil(11 / size * rows / Math.min(rows, 24));
      if (row % every) return;
      const text = page.drawn("text", { x: left - 4, y: 1 + row * size + size - 4, "text-anchor": "end" });
      text.textContent = layer;
      svg.append(text);
    });
    const scale = page.make("p", name + ": white 0, darkest " + form(top) + ". Greatest: " + best.join(", ") + ". A click on a square chooses the head.");
    map.replaceChildren(svg, scale);
  }
  function shade(part) {
    const stops = [[251, 250, 243], [169, 208, 180], [58, 138, 160], [42, 55, 104]], place = Math.min(1, Math.max(0, part)) * 3;
    const i = Math.min(2, Math.floor(place)), share = place - i;
    return "rgb(" + stops[i].map((a, c) => Math.round(a + (stops[i + 1][c] - a) * share)).join(",") + ")";
  }
  function caption(one, question, found, head) {
    const all = page.make("p"), seen = found.picture(head);
    all.append(page.make("b", data.heads[head]), ", " + labels(head) + ". ");
    if (seen === null) {
      all.append("Its attention is not seen in this model.");
      return all;
    }
    all.append("Attention read from the prompt\u2019s last position, which predicts the first token of the answer; " + page.percent(seen) +
      " of it falls on the picture, the rest on the text; the darkest of " + question.rows + " \u00d7 " + question.columns + " cells has " + page.percent(found.peak(head)) + ".");
    return all;
  }
  // The colours of the cells, from nothing to the cell attended to most.
  function scale(found, head) {
    const bar = page.make("div", undefined, "bar"), ramp = page.make("i");
    ramp.style.background = "linear-gradient(to right, rgba(194,24,91,0), rgba(194,24,91," + STRONGEST + ")), #fff";
    bar.append(page.make("span", "0"), ramp, page.make("span", page.percent(found.peak(head), 2) + " of its attention"));
    return bar;
  }
  function onBoxes(question, found, head) {
    const seen = found.picture(head);
    if (seen === null || !question.boxes.length) return [];
    const order = question.boxes.map((_, i) => i).sort((a, b) => question.boxes[b][2] - question.boxes[a][2]);
    const rows = order.map((i) => {
      const [name, area, named] = question.boxes[i], share = found.box(head, i), part = seen > 0 ? share / seen : 0;
      return [named ? page.make("b", name + " (asked about)") : name, page.percent(share), page.percent(part), page.percent(area), area > 0 ? (part / area).toFixed(1) : "\u2013"];
    });
    return [page.table(["box", "of all attention", "of that on the picture", "of the picture\u2019s area", "times its area"], rows)];
  }
  let latest = 0;
  async function show() {
    const turn = ++latest, one = data.cases[Number(caseChoice.value)], question = one.questions[Number(asked.value)], head = Number(headChoice.value);
    let found;
    try {
      found = await read(question);
    } catch (error) {
      at.textContent = "This browser cannot unpack the maps (it lacks DecompressionStream).";
      return;
    }
    if (turn !== latest) return;
    const line = page.make("p", question.question + " Truth: " + question.truth + ". Answer: ");
    line.append(page.said(question.said, question.right, "margin " + question.margin), " (case " + one.id + (one.kind ? ", " + one.kind : "") + "; " + one.why + ")");
    said.replaceChildren(line, caption(one, question, found, head));
    const where = found.picture(head) === null ? null : cells(question, found, head);
    at.replaceChildren(page.picture(one, "Attention of " + data.heads[head] + " over the picture of case " + one.id, where));
    if (where) at.append(scale(found, head));
    figures.replaceChildren(...onBoxes(question, found, head));
    drawMap(found, head);
  }
  map.addEventListener("click", (event) => {
    const cell = event.target.closest("[data-head]");
    if (!cell) return;
    headChoice.selectedIndex = [...headChoice.options].findIndex((o) => o.value === cell.dataset.head);
    show();
  });
  caseChoice.addEventListener("change", () => { questions(); show(); });
  for (const choice of [asked, headChoice, measure]) choice.addEventListener("change", show);
  fill(caseChoice, data.cases.map((c, i) => page.option(i, c.id + (c.kind ? " \u00b7 " + c.kind : "") + " (" + c.why + ")")));
  heads();
  questions();
  show();
})();
