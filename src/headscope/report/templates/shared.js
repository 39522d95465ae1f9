
// What the parts below share: everything from cases and models is put in as text, never as markup.
const page = {
  space: "http://www.w3.org/2000/svg",
  data(id) {
    const held = document.getElementById(id);
    return held ? JSON.parse(held.textContent) : null;
  },
  make(tag, text, name) {
    const node = document.createElement(tag);
    if (text !== undefined && text !== null) node.textContent = text;
    if (name) node.className = name;
    return node;
  },
  drawn(tag, values) {
    const node = document.createElementNS(page.space, tag);
    for (const key in values) node.setAttribute(key, values[key]);
    return node;
  },
  // A picture in its own pixels with its boxes (x, y, width, height, name).
  picture(one, label, between) {
    const svg = page.drawn("svg", { class: "scene", viewBox: "0 0 " + one.width + " " + one.height, role: "img", "aria-label": label });
    svg.append(page.drawn("image", { href: one.picture, width: one.width, height: one.height }));
    if (between) svg.append(between);
    for (const [x, y, width, height, name] of one.boxes) {
      const edge = { x, y, width, height, fill: "transparent" };
      svg.append(page.drawn("rect", { ...edge, stroke: "#fff", "stroke-width": one.width / 110 }));
      svg.append(page.drawn("rect", { ...edge, stroke: "#b5432a", "stroke-width": one.width / 200, "data-tip": name }));
    }
    return svg;
  },
  table(header, rows) {
    const table = page.make("table"), top = page.make("thead"), head = page.make("tr"), body = page.make("tbody");
    for (const name of header) {
      const cell = page.make("th", name);
      cell.scope = "col";
      head.append(cell);
    }
    top.append(head);
    for (const cells of rows) {
      const row = page.make("tr");
      for (const cell of cells) {
        const td = page.make("td");
        td.append(cell);
        row.append(td);
      }
      body.append(row);
    }
    table.append(top, body);
    const scroll = page.make("div", undefined, "scroll");
    scroll.tabIndex = 0;
    scroll.append(table);
    return scroll;
  },
  // What was said, marked right or wrong in words too, and its margin.
  said(text, right, margin) {
    const all = page.make("span");
    if (right === null) return all;
    all.append(page.make("span", text + (right ? " \u2713" : " \u2717"), right ? "right" : "wrong"), page.make("small", " " + margin));
    return all;
  },
  option(value, text) {
    const option = page.make("option", text);
    option.value = value;
    return option;
  },
  percent(share, digits) {
    return (100 * share).toFixed(digits === undefined ? 1 : digits) + " %";
  },
};
