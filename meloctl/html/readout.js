// Says under a chart what one points at, or what the arrow keys choose. The page is complete without it.
for (const figure of document.querySelectorAll("figure")) {
  const chart = figure.querySelector("svg");
  const line = figure.querySelector(".readout");
  const columns = [...figure.querySelectorAll(".column")];
  if (!line || !columns.length) continue;
  const hint = "Point at the chart or touch it; or choose it with Tab and press ← or →.";
  let at = -1;
  const choose = (next) => {
    if (at >= 0) columns[at].classList.remove("chosen");
    at = next;
    if (at >= 0) columns[at].classList.add("chosen");
    line.textContent = at >= 0 ? columns[at].querySelector("title").textContent : hint;
  };
  line.classList.add("ready");
  chart.tabIndex = 0;
  choose(-1);
  columns.forEach((column, i) => column.addEventListener("pointerenter", () => choose(i)));
  chart.addEventListener("pointerleave", (event) => event.pointerType === "touch" || choose(-1));
  chart.addEventListener("blur", () => choose(-1));
  chart.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    choose(Math.min(Math.max(at + step, 0), columns.length - 1));
  });
}
