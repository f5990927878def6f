section("information", s => {
  const least = 1e-5;
  let p = D.information;
  const set = v => { p = clamp(v, least, 1); s.draw(true); };
  s.write = () => { put("information.p", p, p < 1e-3 ? 6 : 4); put("information.value", information(p) * per()); };
  s.said = () => `p = ${number(p)}, −log p = ${number(information(p) * per())} ${say(unit)}`;
  s.on("[data-p]", "click", e => { p = Number(e.dataset.p); });
  s.scene("curve", say("curve"), w => clamp(w * 0.62, 260, 480), c => {
    const left = 40, right = c.w - 16, top = 26, ground = c.h - 34, value = information(p) * per();
    const most = Math.max(5 * per(), value * 1.08), x = v => left + v * (right - left), y = v => ground - v / most * (ground - top);
    c.scale("y", left, right, ticks(most, 6), y, say(unit));
    for (const v of [0, 0.25, 0.5, 0.75, 1]) c.text(`x${v}`, x(v), c.h - 12, String(v), "tick");
    c.text("xname", right, ground - 10, "p", "big p-ink", "end");
    const curve = range(201).map(i => Math.max(Math.exp(-most / per()), (i / 200) ** 2));
    c.path("area", [[x(curve[0]), ground], ...curve.map(v => [x(v), y(information(v) * per())]), [x(1), ground]], "wash h", true);
    c.path("curve", curve.map(v => [x(v), y(information(v) * per())]), "curve h");
    c.line("down", x(p), y(value), x(p), ground, "guide p");
    c.line("across", left, y(value), x(p), y(value), "guide h");
    c.text("note", clamp(x(p) + 16, left + 20, right - 96), y(value) < top + 30 ? y(value) + 20 : y(value) - 14, `${number(value, 2)} ${say(unit)}`, "big h-ink", "start");
    c.handle("point", {x: x(p), y: y(value), cls: "h", label: say("point"), value: p, min: least, max: 1, step: 0.01,
      text: s.said(), drag: at => set((at - left) / (right - left)), set});
  });
});
