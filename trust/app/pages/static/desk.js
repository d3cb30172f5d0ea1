// The scan station. A scan is sent in place; its answer takes the place of the last one. The field keeps the focus,
// so that a scanner gun can go on at once, and what came out is said by a live region. Nothing personal is kept:
// after a minute without a hand on keyboard or mouse the fields are blurred, after ten the verdict is cleared.

const MAX_BYTES = 20 * 1024 * 1024;
const DIM_AFTER = 60_000;
const CLEAR_AFTER = 600_000;
const KEPT = 20;

const desk = document.querySelector("[data-desk]");
if (desk) setUp();

function setUp() {
  const form = desk.querySelector("[data-scan]");
  const code = form.elements.code;
  const file = form.elements.file;
  const banner = desk.querySelector("[data-banner]");
  const result = desk.querySelector("[data-result]");
  const region = desk.querySelector(".result");
  const said = desk.querySelector("[data-said]");
  const last = desk.querySelector("[data-last]");
  const sound = setUpSound();
  let timers = [];
  let isSending = false;

  const warn = (words) => {
    banner.hidden = !words;
    banner.textContent = words;
  };

  const makeReady = () => {
    const ready = document.createElement("p");
    ready.className = "empty";
    ready.textContent = desk.dataset.ready;
    result.replaceChildren(ready);
    said.textContent = "";
    rest();
    code.focus();
  };

  const rest = () => {
    timers.forEach(clearTimeout);
    region.classList.remove("is-dim");
    timers = result.querySelector(".verdict")
      ? [setTimeout(() => region.classList.add("is-dim"), DIM_AFTER), setTimeout(makeReady, CLEAR_AFTER)]
      : [];
  };

  const take = (html) => {
    const answer = new DOMParser().parseFromString(html, "text/html");
    const verdict = answer.querySelector(".verdict");
    if (!verdict) {
      location.assign("/desk");
      return;
    }
    const line = answer.querySelector("[data-line]");
    last.prepend(document.importNode(line.content, true));
    while (last.children.length > KEPT) last.lastElementChild.remove();
    result.replaceChildren(document.adoptNode(verdict));
    showPrint();
    const words = [".headline", ".sentence"].map((name) => result.querySelector(name).textContent);
    said.textContent = words.join(" ");
    document.title = words[0] + " · " + document.title.split(" · ").slice(-2).join(" · ");
    sound(verdict.dataset.colour === "green");
    rest();
  };

  const send = async () => {
    if (isSending) return;
    if ((file.files[0]?.size ?? 0) > MAX_BYTES) {
      warn(desk.dataset.tooLarge);
      file.value = "";
      return;
    }
    const body = new FormData(form);
    code.value = file.value = "";
    isSending = true;
    warn("");
    said.textContent = desk.dataset.checking;
    region.setAttribute("aria-busy", "true");
    try {
      const response = await fetch(form.action, { method: "POST", body, headers: { "X-Fragment": "1" } });
      if (response.status >= 500) throw new Error(response.statusText);
      take(await response.text());
    } catch {
      makeReady();
      warn(navigator.onLine ? desk.dataset.failed : desk.dataset.offline);
    } finally {
      isSending = false;
      region.removeAttribute("aria-busy");
      code.focus();
    }
  };

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (code.value.trim() || file.files.length > 0) send();
    else makeReady(); // Enter in the empty field: next, please
  });
  file.addEventListener("change", () => file.files.length > 0 && send());
  code.addEventListener("compositionstart", () => warn(desk.dataset.ime));
  for (const name of ["dragover", "drop"]) {
    window.addEventListener(name, (event) => event.preventDefault());
  }
  desk.addEventListener("drop", (event) => {
    if (event.dataTransfer.files.length > 0) {
      file.files = event.dataTransfer.files;
      send();
    }
  });
  for (const name of ["pointermove", "keydown"]) {
    window.addEventListener(name, () => timers.length > 0 && rest(), { passive: true });
  }
  window.addEventListener("offline", () => warn(desk.dataset.offline));
  window.addEventListener("online", () => warn(""));
  showPrint();
  rest();
}

function showPrint() {
  for (const button of desk.querySelectorAll("[data-print]")) {
    button.hidden = false;
    button.addEventListener("click", () => window.print());
  }
}

// Two tones: up for valid, down for everything else. Off until somebody wants it.
function setUpSound() {
  const line = desk.querySelector("[data-sound]");
  const box = desk.querySelector("[data-sound-box]");
  let audio = null;
  line.hidden = false;
  box.addEventListener("change", () => {
    audio ??= new AudioContext();
  });
  return (isGood) => {
    if (!box.checked || !audio) return;
    (isGood ? [880, 1320] : [330, 220]).forEach((pitch, nth) => {
      const tone = audio.createOscillator();
      const volume = audio.createGain();
      const begin = audio.currentTime + nth * 0.14;
      tone.frequency.value = pitch;
      volume.gain.setValueAtTime(0.15, begin);
      volume.gain.exponentialRampToValueAtTime(0.001, begin + 0.13);
      tone.connect(volume).connect(audio.destination);
      tone.start(begin);
      tone.stop(begin + 0.14);
    });
  };
}
