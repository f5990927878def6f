// What all sections share: numbers, the unit, scenes that are drawn again at each change, and handles to drag.
"use strict";
const D = JSON.parse(document.getElementById("data").textContent);
const NAMES = ["A", "B", "C", "D", "E"];
const say = (key, values = {}) => D.words[key].replace(/\{(\w+)\}/g, (_, name) => values[name]);
const number = (v, digits = 4) => Number.isNaN(v) ? "nan" : (v < 0 && Number(v.toFixed(digits)) ? "−" : "") + written(Math.abs(v), digits);
const written = (size, digits) => size === Infinity ? "∞" : size >= 1e5 ? size.toExponential(Math.max(0, digits - 3)).replace("+", "")
  : size.toFixed(size < 100 ? digits : Math.max(0, digits + 1 - Math.floor(Math.log10(size)))); // seven signs with three decimals
const put = (name, v, digits) => { for (const e of document.querySelectorAll(`[data-n="${name}"]`)) e.textContent = number(v, digits ?? Number(e.dataset.digits ?? 4)); };
const clamp = (v, low, high) => Math.min(high, Math.max(low, v));
const range = n => [...Array(n).keys()];
const sum = values => values.reduce((a, b) => a + b, 0);
const weigh = (p, v) => p === 0 ? 0 : p * v; // 0 annihilates infinity
const still = matchMedia("(prefers-reduced-motion: reduce)");

// --- the quantities ------------------------------------------------------------------------------------------------------
const information = p => p >= 1 ? 0 : -Math.log(p);
const entropy = p => sum(p.map(v => weigh(v, information(v))));
const kl = (p, q) => Math.max(0, sum(p.map((v, k) => weigh(v, Math.log(v / q[k])))));
const logSoftmax = z => {
  const m = Math.max(...z), e = z.map(v => Math.exp(v - m)), s = sum(e);
  return z.map((v, k) => {
    const others = sum(e.filter((_, j) => j !== k));
    return others < 0.6 * s ? Math.log1p(-others / s) : v - m - Math.log(s); // as the package: a likely class apart
  });
};
const softmax = z => logSoftmax(z).map(Math.exp);

// --- sections and the unit -----------------------------------------------------------------------------------------------
const sections = [];
let unit = "nat";
const per = () => unit === "bit" ? 1 / Math.LN2 : 1;
const section = (id, build) => {
  const root = document.getElementById(id), scenes = [], one = selector => root.querySelector(selector);
  const s = {
    root, one,
    all: selector => [...root.querySelectorAll(selector)],
    scene: (name, label, height, draw) => scenes.push(new Scene(one(`[data-stage="${name}"]`), label, height, draw)),
    press: (chosen, all) => { for (const e of all) e.setAttribute("aria-pressed", e === chosen); },
    on: (selector, event, act) => { for (const e of root.querySelectorAll(selector)) e.addEventListener(event, () => { act(e); s.draw(true); }); },
    draw: said => {
      s.write();
      for (const scene of scenes) scene.paint();
      if (said) announce(s.said?.() ?? "");
    },
  };
  build(s);
  for (const scene of scenes) new ResizeObserver(() => scene.paint()).observe(scene.host);
  sections.push(s);
};
let waiting;
const announce = text => {
  clearTimeout(waiting);
  waiting = setTimeout(() => { document.getElementById("said").textContent = text; }, 500);
};

// --- scenes --------------------------------------------------------------------------------------------------------------
// A scene is drawn in pixels, as wide as its host. Elements have keys and are kept, so that focus stays where it is.
class Scene {
  constructor(host, label, height, draw) {
    Object.assign(this, {host, height, draw, elements: new Map()});
    this.svg = host.appendChild(document.createElementNS("http://www.w3.org/2000/svg", "svg"));
    this.svg.setAttribute("role", "group");
    this.svg.setAttribute("aria-label", label);
  }
  paint() {
    const w = this.host.clientWidth;
    if (!w) return;
    const h = Math.round(this.height(w));
    Object.assign(this, {w, h, touched: new Set(), last: null});
    for (const [name, v] of [["width", w], ["height", h], ["viewBox", `0 0 ${w} ${h}`]]) this.svg.setAttribute(name, v);
    this.draw(this);
    for (const [key, e] of this.elements) if (!this.touched.has(key)) { e.remove(); this.elements.delete(key); }
  }
  put(tag, key, attributes, text) {
    let e = this.elements.get(key);
    if (!e) {
      e = document.createElementNS("http://www.w3.org/2000/svg", tag);
      this.elements.set(key, e);
      if (this.last) this.last.after(e); else this.svg.prepend(e);
    }
    for (const [name, v] of Object.entries(attributes)) e.setAttribute(name, typeof v === "number" ? +v.toFixed(2) : v);
    if (text !== undefined && e.textContent !== text) e.textContent = text;
    this.touched.add(key);
    this.last = e;
    return e;
  }
  rect(key, x, y, width, height, cls) { return this.put("rect", key, {x, y, width: Math.max(0, width), height: Math.max(0, height), class: cls}); }
  line(key, x1, y1, x2, y2, cls) { return this.put("line", key, {x1, y1, x2, y2, class: cls}); }
  path(key, points, cls, closed) { return this.put("path", key, {d: points.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("") + (closed ? "Z" : ""), class: cls}); }
  text(key, x, y, text, cls = "", anchor = "middle") { return this.put("text", key, {x, y, class: cls, "text-anchor": anchor}, text); }
  // A thing to drag, and to move with the arrow keys: {x, y, cls, label, value, min, max, step, text, drag(x, y), set(v) or keys(dx, dy)}
  handle(key, spec) {
    const g = this.put("g", key, {transform: `translate(${spec.x.toFixed(2)} ${spec.y.toFixed(2)})`, class: `handle ${spec.cls ?? ""}`, role: "slider", tabindex: 0,
      "aria-label": spec.label, "aria-valuenow": String(spec.value), "aria-valuemin": String(spec.min), "aria-valuemax": String(spec.max), "aria-valuetext": spec.text ?? number(spec.value)});
    if (!g.spec) this.equip(g);
    g.spec = spec;
    return g;
  }
  equip(g) {
    for (const [r, cls] of [[22, "reach"], [9, "knob"]]) {
      const c = g.appendChild(document.createElementNS("http://www.w3.org/2000/svg", "circle"));
      c.setAttribute("r", r);
      c.setAttribute("class", cls);
    }
    g.addEventListener("pointerdown", event => { g.setPointerCapture(event.pointerId); g.classList.add("held"); event.preventDefault(); g.focus(); });
    g.addEventListener("pointermove", event => {
      if (!g.hasPointerCapture(event.pointerId)) return;
      const box = this.svg.getBoundingClientRect();
      g.spec.drag(event.clientX - box.left, event.clientY - box.top);
    });
    g.addEventListener("pointerup", () => g.classList.remove("held"));
    g.addEventListener("pointercancel", () => g.classList.remove("held"));
    g.addEventListener("keydown", event => {
      const by = {ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowLeft: [-1, 0], ArrowDown: [0, -1], PageUp: [0, 10], PageDown: [0, -10]}[event.key];
      const end = {Home: g.spec.min, End: g.spec.max}[event.key];
      if (!by && end === undefined) return;
      event.preventDefault();
      if (by && g.spec.keys) g.spec.keys(...by);
      else if (g.spec.set) g.spec.set(by ? clamp(g.spec.value + (by[0] + by[1]) * g.spec.step, g.spec.min, g.spec.max) : end);
    });
  }
  // An axis from (x, y0) upwards to y1, with ticks at values; `at` gives their height.
  scale(key, x, right, ticks, at, label) {
    for (const v of ticks) {
      this.line(`${key}.grid${v}`, x, at(v), right, at(v), v === 0 ? "axis" : "grid");
      this.text(`${key}.tick${v}`, x - 7, at(v) + 4, Number.isInteger(v) ? String(v).replace("-", "−") : number(v, 1), "tick", "end");
    }
    if (label) this.text(`${key}.name`, 2, 12, label, "tick", "start");
  }
}
const ticks = (most, wanted = 5) => {
  const raw = most / wanted, ten = 10 ** Math.floor(Math.log10(raw)), step = [1, 2, 5, 10].find(s => s * ten >= raw * 0.999) * ten;
  return range(Math.floor(most / step + 1e-9) + 1).map(i => +(i * step).toFixed(6));
};
