section("temperature", s => {
  const dial = s.one("#heat");
  let power = 0;
  const t = () => 10 ** power, q = () => softmax(D.row.map(v => v / t()));
  s.write = () => {
    put("temperature.t", t());
    put("temperature.most", Math.max(...q()));
    put("temperature.h", entropy(q()));
    dial.nextElementSibling.textContent = number(t(), 2);
    dial.setAttribute("aria-valuetext", number(t(), 2));
  };
  s.said = () => `T = ${number(t(), 2)}, ${say("entropy_of", {h: number(entropy(q()))})}`;
  s.on("#heat", "input", () => { power = Number(dial.value); });
  s.scene("bars", say("distribution"), w => clamp(w * 0.55, 250, 380), c => bars(c, {names: NAMES, outline: softmax(D.row), groups: [{p: q(), cls: "q"}]}));
});
