
// All failures: filtered by function, kind, context and outcome; drawn a few at a time.
(function () {
  const data = page.data("failures-data"), list = document.getElementById("failures-shown");
  if (!data || !list) return;
  const SOME = 24, count = document.getElementById("failures-count"), more = document.getElementById("failures-more");
  const filters = ["function", "kind", "context", "outcome"].map((name) => document.getElementById("failures-" + name));
  const [byFunction, byKind, byContext, byOutcome] = filters;
  let room = SOME;

  const number = (rows, what) => {
    const counts = new Map();
    for (const row of rows) counts.set(what(row), (counts.get(what(row)) || 0) + 1);
    return counts;
  };
  function offer(select, what, name, first) {
    const counts = number(data.rows, what);
    const options = [...counts].map(([value, n]) => page.option(value, name(value) + " (" + n + ")"));
    select.replaceChildren(page.option("", first), ...options);
  }
  const kind = (row) => data.cases[row[0]].kind || "no kind";
  function card(row) {
    const [at, name, context, question, truth, said, margin, unreadable] = row, one = data.cases[at];
    const item = page.make("li"), text = page.make("div");
    if (one.picture) {
      const picture = page.make("img");
      picture.src = one.picture;
      picture.alt = "The picture of case " + one.id;
      item.append(picture);
    }
    text.append(page.make("b", question), page.make("br"), "truth: " + truth + "; said: ", page.make("span", said + " \u2717", "wrong"));
    text.append(unreadable ? " (unreadable)" : "", "; margin " + margin, page.make("br"));
    text.append(page.make("small", name + " \u00b7 " + kind(row) + " \u00b7 " + data.contexts[context] + " \u00b7 " + one.id));
    item.append(text);
    return item;
  }
  function show() {
    const wanted = data.rows.filter((row) =>
      (!byFunction.value || row[1] === byFunction.value) && (!byKind.value || kind(row) === byKind.value) &&
      (!byContext.value || row[2] === byContext.value) && (!byOutcome.value || (byOutcome.value === "unreadable") === row[7]));
    list.replaceChildren(...wanted.slice(0, room).map(card));
    count.textContent = Math.min(room, wanted.length) + " of " + wanted.length + " that fit the filters";
    more.hidden = wanted.length <= room;
  }
  offer(byFunction, (row) => row[1], (v) => v, "all functions");
  offer(byKind, kind, (v) => v, "all kinds");
  offer(byContext, (row) => row[2], (v) => data.contexts[v], "all contexts");
  if (data.contexts.gold) byContext.value = "gold";
  for (const filter of filters) filter.addEventListener("change", () => { room = SOME; show(); });
  more.addEventListener("click", () => { room += SOME; show(); });
  show();
})();
