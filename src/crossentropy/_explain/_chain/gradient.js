section("gradient", s => {
  let z = [...D.row], y = D.true_class, rate = D.rate, losses = [-logSoftmax(D.row)[D.true_class]];
  const dial = s.one("#rate"), classes = s.all("[data-true]");
  const slope = () => softmax(z).map((v, k) => v - +(k === y)), loss = () => -logSoftmax(z)[y];
  dial.value = rate;
  s.write = () => {
    put("gradient.loss", loss());
    slope().forEach((g, k) => put(`gradient.${k}`, g));
    dial.nextElementSibling.textContent = number(rate, 1);
  };
  s.said = () => say("loss_of", {loss: number(loss())});
  s.on("#rate", "input", () => { rate = Number(dial.value); });
  s.on("#step", "click", () => { const g = slope(); z = z.map((v, k) => v - rate * g[k]); losses.push(loss()); });
  s.on("#unstep", "click", () => { z = [...D.row]; losses = [loss()]; });
  s.on("[data-true]", "click", e => { y = Number(e.dataset.true); z = [...D.row]; losses = [loss()]; s.press(e, classes); });
  s.scene("bars", say("distribution"), w => clamp(w * 0.52, 250, 380), c => {
    const q = softmax(z), g = slope(), b = bars(c, {names: NAMES, outline: q.map((_, k) => +(k === y)), groups: [{p: q, cls: "q"}], numbers: false});
    q.forEach((v, k) => {
      const x = b.middle(0, k), from = b.ground - b.height(v), to = b.ground - b.height(+(k === y)), down = to > from ? 1 : -1, long = Math.abs(to - from);
      c.line(`shaft${k}`, x, from, x, to - down * Math.min(8, long), "arrow");
      const size = Math.min(7, long / 2 + 1);
      c.path(`head${k}`, [[x - size, to - down * size * 1.3], [x, to], [x + size, to - down * size * 1.3]], "arrowhead", true);
      c.text(`by${k}`, k === y ? x + b.each / 2 + 8 : x, k === y ? Math.max((from + to) / 2, b.top + 12) : from - 8, number(-g[k], 2).replace(/^(?=\d.*[1-9])/, "+"), "value small kl-ink", k === y ? "start" : "middle");
    });
  });
  s.scene("path", say("path"), () => 130, c => {
    const left = 34, right = c.w - 12, top = 22, ground = c.h - 26, most = Math.max(...losses) * 1.1, shown = losses.slice(-40);
    const across = Math.max(10, shown.length - 1), first = losses.length - shown.length;
    const x = i => left + i / across * (right - left), y = v => ground - v / most * (ground - top);
    for (const i of range(across + 1)) if ((first + i) % (across > 10 ? 10 : 2) === 0) c.text(`x${i}`, x(i), c.h - 8, String(first + i), "tick");
    c.scale("y", left, right, ticks(most, 2), y, "L");
    c.path("curve", shown.map((v, i) => [x(i), y(v)]), "curve ce");
    shown.forEach((v, i) => c.put("circle", `dot${i}`, {cx: x(i), cy: y(v), r: 4, class: "dot ce"}));
  });
});
