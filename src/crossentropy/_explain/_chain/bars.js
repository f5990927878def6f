// Probabilities as bars, which can be pulled: the others keep their ratios and make room.
const pulled = (p, k, v) => {
  const rest = 1 - p[k], left = 1 - v;
  const q = p.map((old, j) => j === k ? v : rest > 1e-12 ? old * left / rest : left / (p.length - 1));
  return q;
};
// {names, groups: [{p, cls, label, set}]}: bars of several distributions stand side by side.
const bars = (scene, {names, groups, most = 1, outline, numbers = true}) => {
  const left = 34, right = scene.w - 6, top = 26, ground = scene.h - 28, room = ground - top;
  const height = v => v / most * room, slot = (right - left) / names.length;
  const each = Math.min(64, slot * (groups.length > 1 ? 0.4 : 0.66)), gap = groups.length > 1 ? 4 : 0;
  const small = each < 46 ? "small" : "";
  scene.scale("scale", left, right, most === 1 ? [0, 0.5, 1] : ticks(most, 3), v => ground - height(v));
  const middle = (g, k) => left + slot * (k + 0.5) + (g - (groups.length - 1) / 2) * (each + gap);
  const places = [];
  names.forEach((name, k) => {
    scene.text(`name${k}`, left + slot * (k + 0.5), scene.h - 8, name, "name");
    groups.forEach(({p, cls}, g) => {
      const x = middle(g, k), y = ground - height(Math.min(p[k], most));
      places.push([x, y, g, k]);
      scene.rect(`bar${g}.${k}`, x - each / 2, y, each, ground - y, `bar ${cls}`);
    });
    if (outline && outline[k] > 0) scene.rect(`outline${k}`, middle(0, k) - each / 2 - 3, ground - height(outline[k]), each + 6, height(outline[k]), "outline");
  });
  for (const [x, y, g, k] of places) {
    const {p, set, label, cls} = groups[g], up = y - (set ? 15 : 6);
    if (numbers) scene.text(`number${g}.${k}`, x, up < 12 ? y + 26 : up, number(p[k], each < 46 ? 2 : 3), `value ${small} ${up < 12 ? "inside" : ""}`);
    if (set) scene.handle(`handle${g}.${k}`, {x, y, cls, label: label(names[k]), value: p[k], min: 0, max: 1, step: 0.01,
      drag: (_, at) => set(k, clamp((ground - at) / room * most, 0, 1)), set: v => set(k, v)});
  }
  return {left, right, top, ground, slot, each, height, middle};
};
