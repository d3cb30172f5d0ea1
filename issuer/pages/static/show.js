// Showing an e-certificate: asks the server every two seconds, so that the holder sees at once when the code was
// used; the picture changes when the server has a new one. The screen stays on. Leaving the page ends the showing.

const POLL = 2000;

const live = document.querySelector("[data-live]");
if (live) run();

async function run() {
  const picture = live.querySelector("[data-code-picture]");
  const text = live.querySelector("[data-code-text]");
  const left = live.querySelector("[data-left]");
  const words = live.querySelector("[data-words]");
  const waiting = words.textContent;
  const stop = live.querySelector("[data-stop]");
  let isOver = false;
  let isStopping = false;
  let step = live.dataset.step;

  stop.addEventListener("submit", () => {
    isStopping = true;
  });
  window.addEventListener("pagehide", () => {
    if (!isOver && !isStopping) navigator.sendBeacon(stop.action, new FormData(stop));
  });
  window.addEventListener("pageshow", (event) => event.persisted && location.reload());
  keepScreenOn();

  setInterval(() => {
    if (!isOver && left.value > 1) left.value -= 1;
  }, 1000);

  while (!isOver) {
    await new Promise((resolve) => setTimeout(resolve, POLL));
    let state;
    try {
      const response = await fetch(`${live.dataset.state}?step=${step}`, { headers: { Accept: "application/json" } });
      if (!response.ok) throw new Error(response.statusText);
      state = await response.json();
    } catch {
      words.textContent = live.dataset.lost;
      picture.classList.add("is-over"); // an old code must not be shown as if it were good
      continue;
    }
    if (state.state !== "active") {
      isOver = true;
      location.replace(live.dataset.page);
      return;
    }
    picture.classList.remove("is-over");
    if (words.textContent !== waiting) words.textContent = waiting;
    left.value = state.next_in;
    if (state.svg) {
      step = state.step;
      text.textContent = state.code;
      const drawn = new DOMParser().parseFromString(state.svg, "image/svg+xml").documentElement;
      picture.replaceChildren(document.adoptNode(drawn));
    }
  }
}

async function keepScreenOn() {
  const ask = () => navigator.wakeLock?.request("screen").catch(() => {});
  await ask();
  document.addEventListener("visibilitychange", () => document.hidden || ask());
}
