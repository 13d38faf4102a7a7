"use strict";
const tip = document.getElementById("tip");
function show(event) {
  const point = event.target.closest("[data-tip]");
  tip.hidden = !point;
  if (!point) return;
  tip.textContent = point.dataset.tip;
  const box = tip.getBoundingClientRect();
  tip.style.left = Math.max(4, Math.min(event.clientX + 12, innerWidth - box.width - 8)) + "px";
  tip.style.top = Math.max(4, event.clientY - box.height - 12) + "px";
}
document.addEventListener("pointermove", show);
document.addEventListener("pointerdown", show);
function open(hash) {
  const target = hash.startsWith("#candidate-") && document.getElementById(hash.slice(1));
  if (!target) return;
  target.open = true;
  target.scrollIntoView({ behavior: "smooth" });
}
document.addEventListener("click", (event) => {
  const point = event.target.closest("[data-candidate]");
  const link = event.target.closest("a[href^='#candidate-']");
  if (point && event.pointerType !== "touch") open("#candidate-" + point.dataset.candidate);
  if (link) open(link.getAttribute("href"));
});
