section("batch", s => {
  const z = D.logits.map(row => [...row]), y = [...D.labels], cell = (name, i, k) => s.one(`[data-cell="${name}.${i}.${k}"]`);
  let row = 0, hot = null;
  const formula = s.one("#batch-formula");
  const term = (i, k, html, on) => `<b data-of="${i}.${k}"${on ? ' class="on"' : ""}>${html}</b>`;
  s.write = () => {
    const log = z.map(logSoftmax), losses = log.map((r, i) => -r[y[i]]);
    log.forEach((r, i) => {
      r.forEach((v, k) => {
        put(`batch.q.${i}.${k}`, Math.exp(v));
        put(`batch.log.${i}.${k}`, v);
        cell("q", i, k).style.setProperty("--level", `${(Math.exp(v) * 100).toFixed(1)}%`);
        cell("log", i, k).setAttribute("aria-pressed", k === y[i]);
      });
      put(`batch.nll.${i}`, losses[i]);
    });
    put("batch.loss", sum(losses) / losses.length);
    const named = k => `<i>e</i><sup>${number(z[row][k], 1)}</sup>`;
    formula.innerHTML = `<span>${say("row", {row})}</span> −log <i>q</i><sub>${NAMES[y[row]]}</sub> = log( ${NAMES.map((_, k) => term(row, k, named(k))).join(" + ")} ) − ${term(row, y[row], number(z[row][y[row]], 1), true)} = <b class="ce">${number(losses[row])}</b>`;
    for (const e of s.all("tr[data-row]")) e.classList.toggle("chosen", Number(e.dataset.row) === row);
    for (const e of s.all("[data-nll]")) e.classList.toggle("chosen", Number(e.dataset.nll) === row);
    light();
  };
  const light = () => {
    for (const e of s.all(".hot")) e.classList.remove("hot");
    if (!hot) return;
    for (const e of s.all(`[data-cell$=".${hot}"]`)) e.closest("td").classList.add("hot");
    for (const e of s.all(`[data-of="${hot}"]`)) e.classList.add("hot");
  };
  s.said = () => `${say("row", {row})}${say("loss_of", {loss: number(-logSoftmax(z[row])[y[row]])})}`;
  s.on("[data-cell^=z]", "input", e => {
    const [, i, k] = e.dataset.cell.split(".").map(Number), v = e.valueAsNumber;
    e.setAttribute("aria-invalid", !Number.isFinite(v));
    if (Number.isFinite(v)) z[i][k] = v;
    row = i;
  });
  s.on("[data-cell^=z]", "change", e => { const [, i, k] = e.dataset.cell.split(".").map(Number); e.value = z[i][k]; e.removeAttribute("aria-invalid"); }); // of no number
  s.on("[data-cell^=log]", "click", e => { const [, i, k] = e.dataset.cell.split(".").map(Number); y[i] = k; row = i; });
  s.on("tr[data-row]", "click", e => { row = Number(e.dataset.row); });
  const point = event => {
    const at = event.target.closest?.("td")?.querySelector("[data-cell]")?.dataset.cell.split(".").slice(1);
    hot = at ? at.join(".") : event.target.closest?.("[data-of]")?.dataset.of ?? null;
    if (at && Number(at[0]) !== row) { row = Number(at[0]); s.write(); } else light();
  };
  s.root.addEventListener("pointerover", point);
  s.root.addEventListener("focusin", point);
});
