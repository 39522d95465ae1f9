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
