"use strict";
(function () {
  const tip = document.getElementById("tip");
  const table = JSON.parse(document.getElementById("heads-data").textContent);
  const place = new Map(((table && table.places) || []).map((p, i) => [p[0] + "," + p[1], i]));
  const marked = {};
  for (const f in (table && table.passes) || {}) marked[f] = new Set(table.passes[f]);

  function show(text, event) {
    tip.textContent = text;
    tip.hidden = false;
    const box = tip.getBoundingClientRect();
    const x = Math.min(event.clientX + 14, document.documentElement.clientWidth - box.width - 8);
    const above = event.clientY + 18 + box.height > window.innerHeight;
    tip.style.left = Math.max(8, x) + "px";
    tip.style.top = (above ? event.clientY - box.height - 12 : event.clientY + 18) + "px";
  }
  function hide() {
    tip.hidden = true;
    document.querySelectorAll(".cursor").forEach((c) => c.setAttribute("visibility", "hidden"));
  }

  // Titles become this page's own tips (they appear at once, and on touch). A chart is one picture to a screen
  // reader, named as a whole; its figures are in the table below it.
  document.querySelectorAll("[data-tip] > title").forEach((title) => {
    const mark = title.parentNode;
    mark.setAttribute("data-tip", title.textContent);
    title.remove();
  });

  function overMap(map, event) {
    const view = map.viewBox.baseVal, box = map.getBoundingClientRect(), d = map.dataset;
    const x = ((event.clientX - box.left) / box.width) * view.width - Number(d.left);
    const y = ((event.clientY - box.top) / box.height) * view.height - Number(d.top);
    const column = Math.floor(x / Number(d.cw)), row = Math.floor(y / Number(d.ch));
    const head = place.get(row + "," + column);
    hide();
    if (head === undefined || x < 0 || y < 0) return;
    const value = table.scores[d.key][head];
    const cursor = map.querySelector(".cursor");
    cursor.setAttribute("x", Number(d.left) + column * Number(d.cw));
    cursor.setAttribute("y", Number(d.top) + row * Number(d.ch));
    cursor.setAttribute("visibility", "visible");
    const star = marked[d.key] && marked[d.key].has(head) ? " · passes" : "";
    show(table.heads[head] + " · " + d.unit + " " + (value === null ? "–" : value) + star, event);
  }

  function moved(event) {
    const map = event.target.closest("svg.map");
    if (map) return overMap(map, event);
    const mark = event.target.closest("[data-tip]");
    if (mark) show(mark.getAttribute("data-tip"), event);
    else hide();
  }
  document.addEventListener("pointermove", moved);
  document.addEventListener("pointerdown", moved);
  document.addEventListener("scroll", hide, { passive: true });
})();
if (window.matchMedia("(max-width: 900px)").matches) document.getElementById("contents").open = false;

// Case by case: everything from the cases is put in as text, never as markup.
(function () {
  const held = document.getElementById("cases-data"), choice = document.getElementById("case-choice");
  if (!held || !choice) return;
  const data = JSON.parse(held.textContent), space = "http://www.w3.org/2000/svg";

  function make(tag, text, name) {
    const node = document.createElement(tag);
    if (text !== undefined && text !== null) node.textContent = text;
    if (name) node.className = name;
    return node;
  }
  function drawn(tag, values) {
    const node = document.createElementNS(space, tag);
    for (const key in values) node.setAttribute(key, values[key]);
    return node;
  }
  function picture(one) {
    const svg = drawn("svg", { class: "scene", viewBox: "0 0 " + one.width + " " + one.height, role: "img",
      "aria-label": "The picture of case " + one.id + (one.boxes.length ? ", with " + one.boxes.map((b) => b[4]).join(", ") : "") });
    svg.append(drawn("image", { href: one.picture, width: one.width, height: one.height }));
    for (const [x, y, width, height, name] of one.boxes) {
      const box = drawn("rect", { x, y, width, height, fill: "transparent", stroke: "#b5432a",
        "stroke-width": one.width / 200, "data-tip": name });
      svg.append(box);
    }
    return svg;
  }
  function steps(one) {
    const table = make("table"), head = make("tr");
    for (const name of ["function", "question", "truth", ...data.contexts]) {
      const cell = make("th", name);
      cell.scope = "col";
      head.append(cell);
    }
    const top = make("thead"), body = make("tbody");
    top.append(head);
    for (const step of one.steps) {
      const row = make("tr");
      row.append(make("td", step.function), make("td", step.question), make("td", step.truth));
      for (const context of data.contexts) {
        const given = step.answers[context], cell = make("td", given ? undefined : "\u2013");
        if (given) {
          cell.append(make("span", given[0] + (given[1] ? " \u2713" : " \u2717"), given[1] ? "right" : "wrong"), make("small", " " + given[2]));
        }
        row.append(cell);
      }
      body.append(row);
    }
    table.append(top, body);
    const scroll = make("div", undefined, "scroll");
    scroll.tabIndex = 0;
    scroll.append(table);
    return scroll;
  }
  function show() {
    const one = data.cases[Number(choice.value)];
    document.getElementById("case-shown").replaceChildren(picture(one), steps(one));
  }
  choice.addEventListener("change", show);
  show();
})();
