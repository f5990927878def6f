// Computes the shown rows again from the logits and temperatures that the sliders say, and writes every number.
// x logits as given, z transformed ones, m their maximum, q = softmax(z); the formulae are those of Lab in _data.py.
"use strict";
(() => {
const D = JSON.parse(document.getElementById("data").textContent);
const real = v => v === null ? null : Array.isArray(v) ? v.map(real) : Number(String(v).replace("inf", "Infinity"));
for (const name of ["logits", "p", "tau", "count", "coefficient", "temperatures", "rest_lse", "rest_max", "rest_p",
  "rest_p_z", "rest_tau", "rest_tau_z", "other_rows", "kl_rest",
  "gradient_rest"]) D[name] = real(D[name]);
const ONE = D.temperatures.findIndex(t => Math.abs(t - 1) < 1e-9);
const K = D.logits[0].length, columns = [...Array(K).keys()];
let x, heat, row = D.first;

// --- numbers ---------------------------------------------------------------------------------------------------------
const number = (v, signed) => {
  const size = Math.abs(v);
  let text;
  if (Number.isNaN(v)) return "nan";
  if (size === Infinity) text = "inf";
  else if (Number.isInteger(size) && size < 1e5) text = String(size);
  else if (size >= 1e-3 && size < 1e5) text = size.toFixed(4);
  else text = size.toExponential(3).replace("+", "").replace("-", "−");
  return (v < 0 ? "−" : signed ? "+" : "") + text;
};
const places = new Map();
for (const element of document.querySelectorAll("[data-n]")) {
  const name = element.dataset.n;
  places.set(name, [...(places.get(name) ?? []), element]);
}
const at = (...name) => places.get(name.map(part => part ?? "").join(":")) ?? [];
const put = (step, i, k, value) => {
  for (const element of at(step, i, k)) {
    const text = value === undefined ? "…" : number(value, "signed" in element.dataset);
    const cell = element.querySelector("span");
    if (cell) cell.textContent = element.classList.contains("target") ? `[${text}]` : text;
    else element.textContent = text;
  }
};
const sum = values => values.reduce((a, b) => a + b, 0);
const weigh = (p, v) => p === 0 ? 0 : p * v; // 0 annihilates infinity
const log = v => v > 0 ? Math.log(v) : -Infinity;

const movedRow = i => heat[i] !== ONE || x[i].some((v, k) => !Object.is(v, D.logits[i][k]));

// --- one row -----------------------------------------------------------------------------------------------------------
const softmax = i => {
  const t = D.temperatures[heat[i]], cap = D.softcap;
  const capped = x[i].map(v => { const s = v * D.logit_scale; return cap === null ? s : cap * Math.tanh(s / cap); });
  const slope = capped.map(v => D.logit_scale * (cap === null ? 1 : 1 - (v / cap) ** 2) / t);
  const z = capped.map(v => v / t);
  const top = Math.max(...z, D.hidden ? D.rest_max[i] / t : -Infinity), m = Math.abs(top) === Infinity ? 0 : top;
  const e = z.map(v => Math.exp(v - m)), rest = D.hidden ? Math.exp(D.rest_lse[i][heat[i]] - m) : 0;
  const s = sum(e) + rest, lse = m + Math.log(s), over = s === Infinity ? NaN : s; // what inf divides is nan
  const logq = z.map((v, k) => {
    const others = sum(e.filter((_, j) => j !== k)) + rest;
    return others < 0.6 * over ? Math.log1p(-others / s) : v - lse + 0 * over; // as the package: a likely class apart
  });
  return {t, z, m: top, e, rest, s, lse, logq, q: e.map(v => v / over), slope, restq: rest / over};
};
const loss = i => {
  const r = softmax(i), p = D.p[i], tau = D.tau[i], label = D.labels[i];
  const against = (w, w_rest, w_rest_z) =>
    -sum(columns.map(k => weigh(w[k], r.logq[k]))) + (D.hidden ? w_rest * r.lse - w_rest_z / r.t : 0);
  r.nll = D.ignored[i] ? 0 : D.one_hot ? -r.logq[label] : against(p, D.rest_p[i], D.rest_p_z[i]);
  r.z_loss = D.count[i] === 0 ? 0 : D.z_loss * D.count[i] * r.lse ** 2;
  r.loss = D.ignored[i] ? 0 : against(tau, D.rest_tau[i], D.rest_tau_z[i]) + r.z_loss;
  const a = D.coefficient[i], total = sum(tau) + D.rest_tau[i], push = total + 2 * D.z_loss * D.count[i] * r.lse;
  r.gradient = r.q.map((q, k) => a === 0 ? 0 : a * (push * q - tau[k]) * r.slope[k]);
  r.restgradient = a * (push * r.restq - D.rest_tau[i]) * D.logit_scale / r.t;
  if (D.softcap !== null) r.restgradient = movedRow(i) ? undefined : D.gradient_rest?.[i]; // each has a slope of its own
  return r;
};
const writeLoss = () => {
  const rows = x.map((_, i) => loss(i));
  rows.forEach((r, i) => {
    for (const k of columns) {
      put("raw", i, k, x[i][k]);
      put("logits", i, k, r.z[k]);
      put("log_probabilities", i, k, r.logq[k]);
      put("shifted", i, k, r.z[k] - (Math.abs(r.m) === Infinity ? 0 : r.m));
      put("exp", i, k, r.e[k]);
      put("log_softmax", i, k, r.logq[k]);
      put("softmax", i, k, r.q[k]);
      put("probabilities", i, k, r.q[k]);
      put("gradient", i, k, r.gradient[k]);
    }
    if (D.hidden) {
      put("exp", i, -1, r.rest);
      put("softmax", i, -1, r.restq);
      put("probabilities", i, -1, r.restq);
      put("gradient", i, -1, r.restgradient);
    }
    put("max", i, null, r.m);
    put("sum", i, null, r.s);
    put("lse", i, null, r.lse);
    put("nll", i, null, r.nll);
    put("bit", i, null, r.nll / Math.LN2);
    put("hartley", i, null, r.nll / Math.LN10);
    put("z_loss", i, null, r.z_loss);
    put("loss", i, null, r.loss);
    put("rows", i, null, weigh(D.coefficient[i], r.loss));
    draw(i, D.p[i], r.q, D.rest_p[i], r.restq);
  });
  const value = D.other_rows + sum(rows.map((r, i) => weigh(D.coefficient[i], r.loss)));
  put("value", null, null, value);
  put("value_in_unit", null, null, value * D.per_nat);
  put("mark.perplexity", null, null, Math.exp(value));
  if (D.all_rows_shown) {
    const counted = rows.map((r, i) => D.ignored[i] ? -Infinity : r.loss), worst = Math.max(...counted);
    put("mark.worst", null, null, worst);
    for (const note of document.querySelectorAll('[data-note="worst"]'))
      note.textContent = D.worst.replace("{row}", D.rows[counted.indexOf(worst)]);
  }
};

// --- quantities --------------------------------------------------------------------------------------------------------
const single = D.logits.length === 1;
const total = (step, i, value) => { put(step, i, null, value); if (single) put(step, null, null, value); };
const divergence = (p, q) => sum(p.map((v, k) => weigh(v, log(v) - log(q[k]))));
const writeKl = () => x.forEach((_, i) => {
  const r = softmax(i), p = D.p[i], u = D.per_nat;
  const ratio = p.map((v, k) => log(v) - r.logq[k]), terms = p.map((v, k) => weigh(v, ratio[k]));
  const given = D.start[i], shift = D.hidden ? D.rest_p[i] * (r.lse - given.lse) - D.rest_p_z[i] * (1 / r.t - 1) : 0;
  const rest = !D.hidden ? 0 : D.kl_rest[i] === Infinity ? Infinity : D.kl_rest[i] / u + shift;
  const kl = Math.max(0, sum(terms) + rest);
  for (const k of columns) {
    put("q", i, k, r.q[k]);
    put("log_ratio", i, k, ratio[k] * u);
    put("kl_terms", i, k, terms[k] * u);
  }
  if (D.hidden) { put("q", i, -1, r.restq); put("kl_terms", i, -1, rest * u); }
  total("kl", i, kl * u);
  total("cross_entropy", i, D.entropy[i] + kl * u);
  if (single && !D.hidden) {
    const middle = p.map((v, k) => (v + r.q[k]) / 2);
    put("mark.reverse", null, null, divergence(r.q, p) * u);
    put("mark.js", null, null, (divergence(p, middle) + divergence(r.q, middle)) / 2 * u);
  }
  draw(i, p, r.q, D.rest_p[i], r.restq);
});
const writeEntropy = () => x.forEach((_, i) => {
  const r = softmax(i), u = D.per_nat, terms = r.q.map((v, k) => weigh(v, -r.logq[k])), h = sum(terms);
  for (const k of columns) {
    put("p", i, k, r.q[k]);
    put("information", i, k, (r.logq[k] === 0 ? 0 : -r.logq[k]) * u);
    put("entropy_terms", i, k, terms[k] * u);
  }
  total("entropy", i, h * u);
  if (single) put("mark.outcomes", null, null, Math.exp(h));
  draw(i, r.q, r.q, 0, 0);
});

// --- figures: the geometry of _svg.py ------------------------------------------------------------------------------------
const [WIDTH, HEIGHT, TOP, BOTTOM, LEFT, RIGHT] = D.view, ACROSS = WIDTH - LEFT - RIGHT, ROOM = HEIGHT - TOP - BOTTOM, GROUND = HEIGHT - BOTTOM;
const move = (elements, values) => {
  for (const element of elements) for (const [name, v] of Object.entries(values)) element.setAttribute(name, v.toFixed(2));
};
const surprise = p => p <= 0 ? Infinity : p < 1 ? -Math.log(p) : 0; // of nan 0
const draw = (i, p, q, restp, restq) => {
  const entries = columns.map(k => [k, p[k], q[k]]);
  if (D.hidden) entries.push([-1, restp, restq]);
  for (const [k, truth, belief] of entries) {
    const height = (belief || 0) * ROOM; // nan has no height
    move(at("bar", i, k), {y: GROUND - height, height});
    move(at("bartext", i, k), {y: GROUND - (belief < truth && truth < belief + 0.15 ? truth * ROOM : height) - 5});
    put("bartext", i, k, belief);
  }
  const highest = Math.max(1, ...columns.filter(k => p[k] > 0).flatMap(k => [surprise(p[k]), surprise(q[k])]));
  const svg = at("own", i, columns.find(k => at("own", i, k).length))[0]?.ownerSVGElement;
  if (!svg) return;
  const scale = Math.max(Number(svg.dataset.scale), Math.min(highest, 12)), unit = ROOM / scale;
  const perNat = D.kind === "cross_entropy" ? 1 : D.per_nat, step = [0.5, 1, 2, 5].find(s => 3.5 * s >= scale * perNat) ?? 10;
  [...svg.querySelectorAll(".scale")].forEach((tick, i) => {
    const v = (i + 1) * step, y = GROUND - v / perNat * unit;
    tick.setAttribute("transform", `translate(0 ${y.toFixed(2)})`);
    tick.setAttribute("visibility", y < TOP ? "hidden" : "visible");
    tick.querySelector("text").textContent = v;
  });
  let left = 0, peak = HEIGHT, middle = WIDTH / 2;
  for (const k of columns) {
    const [low, high] = [surprise(p[k]), surprise(q[k])].sort((a, b) => a - b).map(h => Math.min(h, scale) * unit);
    const across = {x: LEFT + left * ACROSS, width: p[k] * ACROSS};
    if (at("own", i, k).length && GROUND - high < peak) { peak = GROUND - high; middle = across.x + across.width / 2; }
    move(at("own", i, k), {...across, y: GROUND - low, height: low});
    move(at("gap", i, k), {...across, y: GROUND - high, height: high - low});
    move(at("areatext", i, k), {x: across.x + across.width / 2});
    for (const element of at("gap", i, k)) element.setAttribute("class", q[k] <= p[k] ? "gap" : "surplus");
    left += p[k];
  }
  move(svg.querySelectorAll(".total"), {x: Math.min(Math.max(middle, LEFT + 24), WIDTH - RIGHT - 24), y: Math.max(peak, TOP) - 5});
};

// --- tables: as wide as whole columns, or a number that is cut in two reads like another -----------------------------------
const fit = () => {
  for (const frame of document.querySelectorAll(".scroll")) {
    frame.style.maxWidth = "";
    const room = frame.clientWidth, cells = [...frame.querySelector("tr").children];
    if (frame.scrollWidth <= room) continue;
    const start = frame.getBoundingClientRect().left - frame.scrollLeft, ends = cells.map(e => e.getBoundingClientRect().right - start);
    frame.style.maxWidth = `${Math.max(...ends.slice(1).filter(x => x <= room), ends[0])}px`;
    frame.style.scrollPaddingLeft = `${cells[0].offsetWidth}px`;
  }
};
new ResizeObserver(fit).observe(document.querySelector(".steps"));

// --- controls ------------------------------------------------------------------------------------------------------------
const sliders = [...document.querySelectorAll("input[data-k]")], dial = document.getElementById("temperature");
const output = input => input.parentElement.querySelector("output");
const extent = v => v.filter(Number.isFinite);
const showRow = () => {
  for (const input of sliders) {
    const k = Number(input.dataset.k), given = extent(D.logits[row]);
    input.min = Math.floor(Math.min(0, ...given) - 5);
    input.max = Math.ceil(Math.max(0, ...given) + 5);
    input.value = Number.isFinite(x[row][k]) ? x[row][k] : x[row][k] > 0 ? input.max : input.min;
    output(input).textContent = number(x[row][k]);
    input.parentElement.querySelector(".class").textContent = D.names[row][k];
    input.parentElement.querySelector(".class").title = D.names[row][k];
    input.parentElement.classList.toggle("is-target", D.labels[row] === k);
    input.setAttribute("aria-label", D.names[row][k]);
  }
  dial.value = heat[row];
  output(dial).textContent = number(D.temperatures[heat[row]]);
  for (const figure of document.querySelectorAll("#figures > div")) figure.hidden = Number(figure.dataset.row) !== row;
};
const write = () => {
  ({cross_entropy: writeLoss, kl: writeKl, entropy: writeEntropy})[D.kind]();
  const moved = x.some((_, i) => movedRow(i));
  const check = document.querySelector(".check");
  check.classList.toggle("moved", moved);
  check.title = moved ? D.stale : "";
  stale.hidden = !moved;
};
const reset = () => {
  x = D.logits.map(r => [...r]);
  heat = D.logits.map(() => ONE);
};
const stale = document.createElement("p");
stale.className = "where";
stale.textContent = D.stale;
stale.hidden = true;
document.querySelector(".check").after(stale);

for (const input of sliders) input.addEventListener("input", () => {
  x[row][Number(input.dataset.k)] = Number(input.value);
  output(input).textContent = number(Number(input.value));
  write();
});
dial.addEventListener("input", () => {
  heat[row] = Number(dial.value);
  output(dial).textContent = number(D.temperatures[heat[row]]);
  write();
});
document.getElementById("reset").addEventListener("click", () => { reset(); showRow(); write(); });
document.getElementById("row")?.addEventListener("change", event => { row = Number(event.target.value); showRow(); });

// --- a class that is pointed at lights up wherever it is --------------------------------------------------------------------
const light = event => {
  for (const element of document.querySelectorAll(".hot")) element.classList.remove("hot");
  const [, i, k] = event.target.closest?.("[data-n]")?.dataset.n.split(":") ?? [];
  if (!k || i === "") return;
  const which = i === "*" ? String(row) : i;
  for (const [name, elements] of places) {
    const [, j, column] = name.split(":");
    if (column === k && (j === which || (j === "*" && which === String(row))))
      for (const element of elements) element.classList.add("hot");
  }
};
document.addEventListener("pointerover", light);
document.addEventListener("focusin", light);

reset();
D.start = x.map((_, i) => softmax(i));
D.entropy = D.kind === "kl" ? D.h : [];
showRow();
})();
