
(function () {
  const data = page.data("cases-data"), choice = document.getElementById("case-choice");
  if (!data || !choice) return;

  function answer(step, context) {
    const given = step.answers[context];
    if (!given) return "\u2013";
    const all = page.said(given[0], given[1], given[2]);
    if (given[3]) all.append(page.make("br"), page.make("small", given[3]));
    return all;
  }
  function show() {
    const one = data.cases[Number(choice.value)];
    const named = one.boxes.length ? ", with " + one.boxes.map((b) => b[4]).join(", ") : "";
    const rows = one.steps.map((s) => [s.function, s.question, s.truth, ...data.contexts.map((c) => answer(s, c))]);
    document.getElementById("case-shown").replaceChildren(
      page.picture(one, "The picture of case " + one.id + named),
      page.table(["function", "question", "truth", ...data.contexts], rows));
  }
  choice.addEventListener("change", show);
  show();
})();
