// The unit, the theme, where the reader is, and the first drawing.
const units = [...document.querySelectorAll("[data-nat], [data-bit]")];
for (const button of units) button.addEventListener("click", () => {
  unit = "bit" in button.dataset ? "bit" : "nat";
  for (const other of units) other.setAttribute("aria-pressed", ("bit" in other.dataset) === (unit === "bit"));
  redraw();
});
const redraw = () => {
  for (const e of document.querySelectorAll("[data-unit]")) e.textContent = say(unit);
  for (const s of sections) s.draw(false);
};
const dark = matchMedia("(prefers-color-scheme: dark)"), html = document.documentElement;
document.getElementById("theme").addEventListener("click", () => {
  html.dataset.theme = (html.dataset.theme ?? (dark.matches ? "dark" : "light")) === "dark" ? "light" : "dark";
  redraw();
});
dark.addEventListener("change", redraw);
const links = new Map([...document.querySelectorAll("nav a")].map(a => [a.hash.slice(1), a])), list = document.querySelector("nav ol");
const reader = new IntersectionObserver(seen => {
  for (const {isIntersecting, target} of seen) if (isIntersecting) for (const [id, a] of links) {
    if (id === target.id) {
      a.setAttribute("aria-current", "true");
      list.scrollLeft = a.offsetLeft - list.clientWidth / 2 + a.clientWidth / 2;
    } else a.removeAttribute("aria-current");
  }
}, {rootMargin: "-40% 0px -55% 0px"});
for (const {root} of sections) reader.observe(root);
reader.observe(document.getElementById("names"));
html.classList.add("moving");
redraw();
