section("divergence", s => {
  let p = D.truth, q = D.belief;
  const names = NAMES.slice(0, 3);
  s.write = () => {
    const u = per(), h = entropy(p) * u, d = kl(p, q) * u;
    put("divergence.h", h);
    put("divergence.kl", d);
    put("divergence.ce", h + d);
    put("divergence.reverse", kl(q, p) * u);
  };
  s.said = () => say("divergence_of", {kl: number(kl(p, q) * per()), ce: number((entropy(p) + kl(p, q)) * per())});
  s.on("#swap", "click", () => { [p, q] = [q, p]; });
  s.on("#equal", "click", () => { q = [...p]; });
  s.on("#sure", "click", () => { p = [0, 1, 0]; });
  s.scene("both", say("distribution"), w => clamp(w * 0.9, 260, 360), c => bars(c, {names, groups: [
    {p, cls: "p", label: name => say("truth", {name}), set: (k, v) => { p = pulled(p, k, v); s.draw(true); }},
    {p: q, cls: "q", label: name => say("belief", {name}), set: (k, v) => { q = pulled(q, k, v); s.draw(true); }},
  ]}));
  s.scene("blocks", say("blocks"), w => clamp(w * 0.9, 260, 360), c => {
    const left = 38, right = c.w - 8, top = 26, ground = c.h - 28;
    const ratio = p.map((v, k) => v === 0 ? 0 : Math.log(v / q[k]) * per());
    const finite = ratio.filter(Number.isFinite), high = Math.min(8, Math.max(1, ...finite.map(v => v * 1.1))), low = Math.max(-8, Math.min(-1, ...finite.map(v => v * 1.1)));
    const y = v => ground - (clamp(v, low, high) - low) / (high - low) * (ground - top), step = high - low > 6 ? 2 : 1;
    const marks = range(17).map(i => (i - 8) * step).filter(v => v >= low && v <= high);
    c.scale("y", left, right, marks, y, "log p/q");
    let at = left;
    p.forEach((v, k) => {
      const width = v * (right - left), [a, b] = [y(0), y(ratio[k])];
      c.rect(`block${k}`, at, Math.min(a, b), width, Math.abs(a - b), `block ${ratio[k] < 0 ? "saved" : "paid"}`);
      if (width > 24) {
        c.text(`name${k}`, at + width / 2, c.h - 8, names[k], "name");
        const area = weigh(v, ratio[k]), sign = ratio[k] < 0 ? "saved" : "paid", inner = Math.abs(a - b) > 24 && width > 44;
        c.text(`area${k}`, at + width / 2, inner ? (a + b) / 2 + 5 : ratio[k] < 0 ? b + 14 : b - 6, (area > 0 ? "+" : "") + number(area, 2), inner ? `on ${sign}` : "value small");
      }
      at += width;
    });
  });
  s.scene("sum", say("sum"), () => 62, c => {
    const h = entropy(p) * per(), d = kl(p, q) * per(), most = Math.max(2.2 * per(), Number.isFinite(d) ? (h + d) * 1.05 : 0), x = v => 4 + Math.min(v, most) / most * (c.w - 8);
    c.rect("h", x(0), 4, x(h) - x(0), 24, "bar h");
    c.rect("kl", x(h), 4, x(h + d) - x(h), 24, "bar kl");
    c.rect("ce", x(0), 32, x(h + d) - x(0), 24, "bar ce");
    const label = (key, from, to, row, text) => { if (x(to) - x(from) > 52) c.text(key, (x(from) + x(to)) / 2, 21 + row * 28, text, "on"); };
    label("hname", 0, h, 0, "H(p)");
    label("klname", h, h + d, 0, "KL");
    label("cename", 0, h + d, 1, "H(p, q)");
  });
});
