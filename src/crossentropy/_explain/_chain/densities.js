section("densities", s => {
  const n = {...D.normals}, limits = {mu: [-4, 4], sigma: [0.3, 3]};
  let step = 0;
  const steps = s.all("#derivation > li");
  const log = (who, x) => -0.5 * Math.log(2 * Math.PI * n[`sigma_${who}`] ** 2) - (x - n[`mu_${who}`]) ** 2 / (2 * n[`sigma_${who}`] ** 2);
  const set = (name, v) => { n[name] = Math.round(clamp(v, ...limits[name.split("_")[0]]) * 100) / 100; s.draw(true); };
  s.write = () => {
    const ratio = Math.log(n.sigma_q / n.sigma_p), spread = (n.sigma_p ** 2 + (n.mu_p - n.mu_q) ** 2) / (2 * n.sigma_q ** 2);
    const d = Math.max(0, ratio + spread - 0.5), h = 0.5 * Math.log(2 * Math.PI * n.sigma_p ** 2) + 0.5;
    put("densities.ratio", ratio);
    put("densities.spread", spread);
    put("densities.kl", d);
    put("densities.h", h);
    put("densities.ce", h + d);
    put("densities.mean_log_p", -h);
    put("densities.mean_log_q", -h - d);
    for (const input of s.all("[data-normal]")) {
      input.value = n[input.dataset.normal];
      input.nextElementSibling.textContent = number(n[input.dataset.normal], 2);
    }
    steps.forEach((li, i) => { li.classList.toggle("lit", i === step); });
    s.one("#back").disabled = step === 0;
    s.one("#next").disabled = step === steps.length - 1;
  };
  s.said = () => s.one(".live.sum").textContent.replace(/\s+/g, " ");
  for (const input of s.all("[data-normal]")) input.addEventListener("input", () => set(input.dataset.normal, Number(input.value)));
  s.on("#back", "click", () => { step = Math.max(0, step - 1); });
  s.on("#next", "click", () => { step = Math.min(steps.length - 1, step + 1); });
  const LOW = -7, HIGH = 7, grid = range(281).map(i => LOW + i * (HIGH - LOW) / 280);
  const axis = c => {
    const left = 38, right = c.w - 8, x = v => left + (v - LOW) / (HIGH - LOW) * (right - left);
    return {left, right, x, back: at => LOW + (at - left) / (right - left) * (HIGH - LOW)};
  };
  s.scene("normals", say("normals"), w => clamp(w * 0.42, 210, 320), c => {
    const {left, right, x, back} = axis(c), ground = c.h - 26, top = 20;
    const most = Math.max(0.45, 0.42 / Math.min(n.sigma_p, n.sigma_q)), y = v => ground - v / most * (ground - top);
    c.scale("y", left, right, ticks(most, 3), y);
    for (const v of [-6, -4, -2, 0, 2, 4, 6]) c.text(`x${v}`, x(v), c.h - 8, String(v).replace("-", "−"), "tick");
    for (const who of ["q", "p"]) {
      const curve = grid.map(v => [x(v), y(Math.exp(log(who, v)))]);
      c.path(`area${who}`, [[left, ground], ...curve, [right, ground]], `wash ${who}`, true);
      c.path(`curve${who}`, curve, `curve ${who}`);
    }
    for (const who of ["q", "p"]) {
      const mu = n[`mu_${who}`], sigma = n[`sigma_${who}`], sign = who === "q" ? 1 : -1, flank = clamp(mu + sign * sigma, LOW, HIGH);
      const peak = y(Math.exp(log(who, mu))), side = y(Math.exp(log(who, mu + sigma)));
      c.text(`name${who}`, x(mu) + sign * 16, peak - 8, who, `big ${who}-ink`);
      c.line(`sigma${who}`, x(mu), side, x(flank), side, `guide ${who}`);
      c.handle(`mu${who}`, {x: x(mu), y: peak, cls: who, label: say("mean", {name: who}), value: mu, min: -4, max: 4, step: 0.05,
        drag: at => set(`mu_${who}`, back(at)), set: v => set(`mu_${who}`, v)});
      c.handle(`sigma${who}h`, {x: x(flank), y: side, cls: `${who} ring`, label: say("spread", {name: who}), value: sigma, min: 0.3, max: 3, step: 0.05,
        drag: at => set(`sigma_${who}`, sign * (back(at) - mu)), set: v => set(`sigma_${who}`, v)});
    }
  });
  s.scene("integrand", say("integrand"), w => clamp(w * 0.28, 150, 220), c => {
    const {left, right, x} = axis(c), top = 22, ground = c.h - 10, f = grid.map(v => Math.exp(log("p", v)) * (log("p", v) - log("q", v)));
    const high = Math.max(0.2, ...f) * 1.08, low = Math.min(-0.1, ...f) * 1.08, y = v => ground - (v - low) / (high - low) * (ground - top);
    c.scale("y", left, right, [0, ...ticks(high, 2).filter(v => v > 0).slice(-1)], y, "p log p/q");
    const curve = grid.map((v, i) => [x(v), f[i]]), part = test => [[left, y(0)], ...curve.map(([at, v]) => [at, y(test(v) ? v : 0)]), [right, y(0)]];
    c.path("paid", part(v => v > 0), "block paid", true);
    c.path("saved", part(v => v < 0), "block saved", true);
    c.path("curve", curve.map(([at, v]) => [at, y(v)]), "curve kl thin");
  });
});
