// A verdict on a page of its own: printing, and the reader's place.

for (const button of document.querySelectorAll("[data-print]")) {
  button.hidden = false;
  button.addEventListener("click", () => window.print());
}

document.querySelector("[data-headline]")?.focus();
