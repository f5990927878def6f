section("entropy", s => {
  const start = {coin: [0.7, 0.3], die: D.die, three: [0.6, 0.3, 0.1]};
  let kind = "die", p = start[kind];
  const names = () => ({coin: [say("heads"), say("tails")], die: ["1", "2", "3", "4", "5", "6"], three: NAMES.slice(0, 3)})[kind];
  const set = (k, v) => { p = pulled(p, k, v); s.draw(true); };
  s.write = () => {
    put("entropy.value", entropy(p) * per());
    put("entropy.most", Math.log(p.length) * per());
    document.getElementById("entropy-meter").style.width = `${entropy(p) / Math.log(p.length) * 100}%`;
  };
  s.said = () => `${p.map(v => number(v, 2)).join(", ")}: ${say("entropy_of", {h: number(entropy(p) * per())})}`;
  const kinds = s.all("[data-kind]");
  s.on("[data-kind]", "click", e => { kind = e.dataset.kind; p = start[kind]; s.press(e, kinds); });
  s.on("#even", "click", () => { p = p.map(() => 1 / p.length); });
  s.on("#certain", "click", () => { const top = p.indexOf(Math.max(...p)); p = p.map((_, k) => k === top ? 1 : 0); });
  s.scene("bars", say("distribution"), w => clamp(w * 0.98, 270, 400), c => bars(c, {names: names(), groups: [{p, cls: "p", set, label: name => say("bar", {name})}]}));
  s.scene("land", say("land"), w => clamp(w * 0.98, 270, 400), c => ({coin: arch, die: terms, three: triangle})[kind](c));

  const arch = c => { // the entropy of every coin
    const left = 34, right = c.w - 16, top = 26, ground = c.h - 28, most = Math.LN2 * per() * 1.12;
    const x = v => left + v * (right - left), y = v => ground - v / most * (ground - top), h = v => entropy([v, 1 - v]) * per();
    c.scale("y", left, right, ticks(most, 4), y, say("axis", {unit: say(unit)}));
    for (const v of [0, 0.5, 1]) c.text(`x${v}`, x(v), c.h - 8, String(v), "tick");
    const curve = range(101).map(i => [x(i / 100), y(h(i / 100))]);
    c.path("area", [...curve, [right, ground], [left, ground]], "wash h", true);
    c.path("curve", curve, "curve h");
    c.line("down", x(p[0]), y(h(p[0])), x(p[0]), ground, "guide p");
    c.handle("coin", {x: x(p[0]), y: y(h(p[0])), cls: "h", label: say("bar", {name: say("heads")}), value: p[0], min: 0, max: 1, step: 0.01,
      drag: at => set(0, clamp((at - left) / (right - left), 0, 1)), set: v => set(0, v)});
  };
  const terms = c => { // −p log p of each face, one on the other
    const left = 34, top = 26, ground = c.h - 28, most = Math.log(6) * per() * 1.12, wide = Math.min(150, c.w - left - 90);
    const x = left + (c.w - left - wide) / 2, y = v => ground - v / most * (ground - top);
    c.scale("y", left, c.w - 6, ticks(most, 4), y, say("axis", {unit: say(unit)}));
    let base = 0;
    p.forEach((v, k) => {
      const term = weigh(v, information(v)) * per();
      c.rect(`term${k}`, x, y(base + term), wide, y(base) - y(base + term), "bar h stacked");
      if (y(base) - y(base + term) > 15) c.text(`face${k}`, x + wide / 2, (y(base) + y(base + term)) / 2 + 4, names()[k], "on");
      base += term;
    });
    c.line("most", left, y(Math.log(6) * per()), c.w - 6, y(Math.log(6) * per()), "guide h");
    c.text("mostname", c.w - 8, y(Math.log(6) * per()) - 6, `log 6`, "tick h-ink", "end");
    c.text("sum", x + wide / 2, Math.max(y(base) - 8, 14), number(base, 3), "big h-ink");
  };
  const triangle = c => { // the entropy of all distributions of three classes, darker where it is larger
    const side = Math.min(c.w - 60, (c.h - 56) / 0.866), left = (c.w - side) / 2, ground = c.h - 26, n = 22;
    const place = q => [left + side * (q[1] + q[2] / 2), ground - side * 0.866 * q[2]];
    for (let i = 0; i < n; i++) for (let j = 0; j < n - i; j++) for (const up of j + i < n - 1 ? [1, 0] : [1]) {
      const corners = up ? [[i, j], [i + 1, j], [i, j + 1]] : [[i + 1, j], [i, j + 1], [i + 1, j + 1]];
      const at = corners.map(([a, b]) => [1 - (a + b) / n, a / n, b / n]), mid = range(3).map(k => sum(at.map(q => q[k])) / 3);
      c.path(`t${i}.${j}.${up}`, at.map(place), "shade h", true).style.opacity = (0.06 + 0.86 * (entropy(mid) / Math.log(3)) ** 2).toFixed(3);
    }
    c.path("edge", [[1, 0, 0], [0, 1, 0], [0, 0, 1]].map(place), "frame", true);
    [[-14, 23], [14, 23], [0, -14]].forEach(([dx, dy], k) => { const [x, y] = place([0, 1, 2].map(j => +(j === k))); c.text(`corner${k}`, x + dx, y + dy, NAMES[k], "name"); });
    const [x, y] = place(p);
    const to = q => { const low = q.map(v => Math.max(0, v)), all = sum(low); p = low.map(v => v / all); s.draw(true); };
    c.handle("three", {x, y, cls: "h", label: say("triangle"), value: entropy(p) * per(), min: 0, max: Math.log(3) * per(), text: s.said(),
      drag: (ax, ay) => { const top = (ground - ay) / side / 0.866, b = (ax - left) / side - top / 2; to([1 - b - top, b, top]); },
      keys: (dx, dy) => to([p[0] - dx * 0.01 - dy * 0.005, p[1] + dx * 0.01 - dy * 0.005, p[2] + dy * 0.01])});
  };
});
