section("label", s => {
  const names = ["x1", "x2", "x3"];
  let q = D.prediction, y = D.label;
  const labels = s.all("[data-label]"), terms = s.all("[data-term]");
  s.write = () => {
    put("label.loss", information(q[y]));
    terms.forEach((term, k) => {
      term.classList.toggle("on", k === y);
      term.querySelector(".p").textContent = k === y ? "1" : "0";
      term.querySelector(".q").textContent = number(q[k], Math.abs(q[k] * 10 - Math.round(q[k] * 10)) < 1e-9 ? 1 : 3);
    });
  };
  s.said = () => say("loss_of", {loss: number(information(q[y]))});
  s.on("[data-label]", "click", e => { y = Number(e.dataset.label); s.press(e, labels); });
  s.scene("bars", say("distribution"), w => clamp(w * 0.6, 260, 400), c => bars(c, {names, outline: names.map((_, k) => +(k === y)),
    groups: [{p: q, cls: "q", label: name => say("belief", {name}), set: (k, v) => { q = pulled(q, k, v); s.draw(true); }}]}));
});
