// For ears and keyboards. Gradio's folds tell neither whether they are open nor, among the methods, whose they are.

const choices = document.getElementById("choices");

// Followed as links they would leave the page: its base is another address than its own once that names a result
function instead(link, act) {
  document.querySelector(link)?.addEventListener("click", (event) => {
    event.preventDefault();
    act();
  });
}

instead("a.skip", () => {
  const [go, stop] = ["generate", "cancel"].map((id) => document.getElementById(id));
  (go?.checkVisibility() ? go : stop)?.focus();
});

instead("a.to-photo", () => {
  const subject = document.getElementById("subject");
  subject.scrollIntoView();
  subject.querySelector("button, input")?.focus({ preventScroll: true });
});

function tell() {
  for (const fold of choices.querySelectorAll("button.label-wrap")) {
    const open = String(fold.classList.contains("open"));
    if (fold.getAttribute("aria-expanded") !== open) fold.setAttribute("aria-expanded", open);
    const whose = fold.closest('[id^="method-"]')?.querySelector("label")?.textContent.trim();
    if (!whose) continue;
    const name = `${fold.firstElementChild.textContent.trim()}: ${whose}`;
    if (fold.getAttribute("aria-label") !== name) fold.setAttribute("aria-label", name);
  }
}

if (choices) {
  tell();
  new MutationObserver(tell).observe(choices, { childList: true, subtree: true, attributeFilter: ["class"] });
}
