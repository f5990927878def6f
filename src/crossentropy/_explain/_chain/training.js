// Three networks from one start: z = tanh(x W + b) V + c, gradient descent on all points at once.
const KINDS = ["mse", "double", "own"];
// The loss of one row by its logits: squared error on softmax; cross entropy of softmax; cross entropy.
const pull = {
  own: (z, y) => softmax(z).map((v, k) => v - +(k === y)),
  mse: (z, y) => { const q = softmax(z), e = q.map((v, k) => 2 * (v - +(k === y))); return through(q, e); },
  double: (z, y) => { const q = softmax(z); return through(q, softmax(q).map((v, k) => v - +(k === y))); },
};
const through = (q, g) => { const mean = sum(q.map((v, k) => v * g[k])); return q.map((v, k) => v * (g[k] - mean)); }; // softmax, backwards
const network = scale => {
  const [W, b, V, c] = D.parameters;
  return {W: W.map(r => [...r]), b: [...b], V: V.map(r => r.map(v => v * scale)), c: [...c]};
};
const hiddenOf = (n, x) => n.b.map((b, j) => Math.tanh(x[0] * n.W[0][j] + x[1] * n.W[1][j] + b));
const logitsOf = (n, h) => n.c.map((c, k) => sum(h.map((v, j) => v * n.V[j][k])) + c);
const measure = n => {
  const z = D.points.map(x => logitsOf(n, hiddenOf(n, x)));
  const loss = sum(z.map((r, i) => -logSoftmax(r)[D.classes[i]])) / z.length;
  return {loss, right: sum(z.map((r, i) => +(r.indexOf(Math.max(...r)) === D.classes[i]))) / z.length};
};
const descend = (n, kind) => {
  const N = D.points.length, H = n.b.length, dW = [Array(H).fill(0), Array(H).fill(0)], db = Array(H).fill(0), dc = [0, 0, 0], dV = n.V.map(() => [0, 0, 0]);
  D.points.forEach((x, i) => {
    const h = hiddenOf(n, x), g = pull[kind](logitsOf(n, h), D.classes[i]);
    for (let k = 0; k < 3; k++) dc[k] += g[k] / N;
    for (let j = 0; j < H; j++) {
      let back = 0;
      for (let k = 0; k < 3; k++) { dV[j][k] += h[j] * g[k] / N; back += g[k] * n.V[j][k]; }
      back *= 1 - h[j] * h[j];
      db[j] += back / N;
      dW[0][j] += back * x[0] / N;
      dW[1][j] += back * x[1] / N;
    }
  });
  for (let k = 0; k < 3; k++) n.c[k] -= D.step * dc[k];
  for (let j = 0; j < H; j++) {
    n.b[j] -= D.step * db[j];
    for (let i = 0; i < 2; i++) n.W[i][j] -= D.step * dW[i][j];
    for (let k = 0; k < 3; k++) n.V[j][k] -= D.step * dV[j][k];
  }
};

section("training", s => {
  const STEPS = Number(s.one("#steps").dataset.of), button = s.one("#train"), scales = s.all("[data-scale]");
  let scale = 3, nets, history, at, running = false;
  const begin = () => {
    running = false;
    at = 0;
    nets = Object.fromEntries(KINDS.map(kind => [kind, network(scale)]));
    history = Object.fromEntries(KINDS.map(kind => [kind, [measure(nets[kind])]]));
    s.root.history = history; // for whoever compares
  };
  const step = () => {
    for (const kind of KINDS) { descend(nets[kind], kind); history[kind].push(measure(nets[kind])); }
    at += 1;
  };
  const run = () => {
    if (!running) return;
    const many = still.matches ? STEPS : 2;
    for (let i = 0; i < many && at < STEPS; i++) step();
    if (at >= STEPS) running = false;
    s.draw(at >= STEPS);
    if (running) requestAnimationFrame(run);
  };
  s.write = () => {
    document.getElementById("steps").textContent = String(at);
    button.textContent = say(running ? "pause" : at === 0 || at >= STEPS ? "start" : "go_on");
    for (const kind of KINDS) {
      const now = history[kind][at];
      s.one(`[data-run="${kind}.loss"]`).textContent = number(now.loss);
      s.one(`[data-run="${kind}.right"]`).textContent = say("right", {share: `${Math.round(now.right * 100)} %`});
      map(kind);
    }
  };
  s.said = () => say("trained", {step: at, ...Object.fromEntries(KINDS.map(kind => [kind, `${say(kind)} ${number(history[kind][at].loss)}`]))});
  button.addEventListener("click", () => {
    if (at >= STEPS) begin();
    running = !running;
    s.write();
    if (running) requestAnimationFrame(run);
  });
  s.on("#restart", "click", begin);
  s.on("[data-scale]", "click", e => { scale = Number(e.dataset.scale); s.press(e, scales); begin(); });
  const map = kind => { // what the network sees: each place in the colour of its class, the surer the stronger
    const canvas = s.one(`.run.${kind} canvas`), pen = canvas.getContext("2d"), size = canvas.width, cells = 40, each = size / cells;
    const style = getComputedStyle(canvas), inks = ["--one", "--two", "--three"].map(name => style.getPropertyValue(name));
    pen.clearRect(0, 0, size, size);
    for (let i = 0; i < cells; i++) for (let j = 0; j < cells; j++) {
      const q = softmax(logitsOf(nets[kind], hiddenOf(nets[kind], [(i + 0.5) / cells * 2.4 - 1.2, 1.2 - (j + 0.5) / cells * 2.4])));
      const top = Math.max(...q);
      pen.globalAlpha = 0.12 + 0.42 * (top - 1 / 3) * 1.5;
      pen.fillStyle = inks[q.indexOf(top)];
      pen.fillRect(i * each, j * each, each, each);
    }
    pen.globalAlpha = 1;
    D.points.forEach(([x, y], i) => {
      pen.beginPath();
      pen.arc((x + 1.2) / 2.4 * size, (1.2 - y) / 2.4 * size, size / 50, 0, 7);
      pen.fillStyle = inks[D.classes[i]];
      pen.fill();
      pen.strokeStyle = style.getPropertyValue("--rim");
      pen.stroke();
    });
  };
  begin();
  s.scene("losses", say("losses"), w => clamp(w * 0.36, 240, 380), c => {
    const left = 38, right = c.w - (c.w > 600 ? 130 : 12), top = 26, ground = c.h - 26, most = Math.max(...KINDS.map(kind => history[kind][0].loss)) * 1.12;
    const x = i => left + i / STEPS * (right - left), y = v => ground - Math.min(v, most) / most * (ground - top);
    c.scale("y", left, right, ticks(most, 4), y, "−log q");
    for (const v of [0, 100, 200, 300, 400]) c.text(`x${v}`, x(v), c.h - 8, String(v), "tick");
    for (const kind of KINDS) c.path(kind, history[kind].map((m, i) => [x(i), y(m.loss)]), `curve ${kind}`);
    let below = ground + 18; // names stand beside the ends, from the lowest up, none on another
    for (const kind of [...KINDS].sort((a, b) => history[a][at].loss - history[b][at].loss)) {
      below = Math.min(y(history[kind][at].loss) + 4, below - 17);
      if (c.w > 600) c.text(`name${kind}`, x(at) + 8, below, say(kind), `legend ${kind}-ink`, "start");
    }
  });
});
