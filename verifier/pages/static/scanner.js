// A scanner gun is a keyboard. What it types is taken wherever the focus is and given on as one event `scanned` for each
// scan; a scan ends by Enter, by Tab, by the beginning of the next one, or by silence. What a hand types is left alone:
// keys with Ctrl or Alt, Space on a button, Tab and Enter where nothing was scanned.

const SILENCE = 200; // a scanner without a suffix has finished
const SILENCE_OF_UNKNOWN = 600; // the same where the text does not say how long it is
const SILENCE_OF_UNFINISHED = 2000; // a busy machine has stopped in the middle of one of our codes
const STILL_TYPING = 500;
const ECHO = 300; // a second suffix (CR LF, Tab and Enter) within this time belongs to the same scan
const A_BURST = 100; // milliseconds from key to key: no hand types so fast
const A_SCAN = 8; // characters: what is shorter was left in the field by a hand
// Where a code begins: at the prefix that names its symbology (]Q1), or at its address.
const BEGINS = /(?=[\]}][a-z][0-9!]https?[:;：；][/?／？、]{2})|(?<![\]}][a-z][0-9!])(?=https?[:;：；][/?／？、]{2})/i;
const LIVE_CODE = /[/?／？、]p[/?／？、][a-z2-7@#$¥￥%^&*]{42,}$/i;
// An address alone, or with less behind it than any code of ours has.
const UNFINISHED = /https?[:;：；][/?／？、]{2}[^/?／？、\s]*([/?／？、]([pq]([/?／？、]\S{0,41})?)?)?$/i;

const desk = document.querySelector("[data-desk]");
const form = desk.querySelector("[data-scan]");
const code = form.elements.code;
const again = desk.querySelector("[data-again]");
const key = again.elements.key;

let typed = []; // times of the keys of what stands in the field
let silence = null;
let scannedAt = -Infinity;

const isBurst = () => typed.length > 3 && (typed.at(-1) - typed[0]) / (typed.length - 1) < A_BURST;
const isTyping = () => isBurst() && performance.now() - typed.at(-1) < STILL_TYPING;
const isEcho = () => performance.now() - scannedAt < ECHO;
const looksLikeCode = () => BEGINS.test(code.value) && code.value.length > 40;

function patience(text) {
  if (LIVE_CODE.test(text)) return SILENCE;
  if (UNFINISHED.test(text)) return SILENCE_OF_UNFINISHED;
  const slowest = Math.max(0, ...typed.slice(1).map((at, number) => at - typed[number]));
  return Math.min(Math.max(SILENCE_OF_UNKNOWN, 4 * slowest), SILENCE_OF_UNFINISHED);
}

function give(text) {
  const parts = text.split(BEGINS).map((each) => each.trim());
  for (const each of parts) {
    if (!each || (parts.length > 1 && each.length < A_SCAN)) continue;
    scannedAt = performance.now();
    desk.dispatchEvent(new CustomEvent("scanned", { detail: each }));
  }
}

function giveField() {
  clearTimeout(silence);
  const text = code.value;
  code.value = "";
  typed = [];
  give(text);
}

function listen() {
  clearTimeout(silence);
  const parts = code.value.split(BEGINS);
  if (parts.length > 1) {
    // The next scan has begun: what stands before it is complete, though nothing ended it.
    code.value = parts.pop();
    typed = typed.slice(-code.value.length);
    parts.filter((each) => each.trim().length >= A_SCAN).forEach(give);
  }
  if (typed.length < A_SCAN || !(isBurst() || looksLikeCode())) return;
  silence = setTimeout(giveField, patience(code.value.trim()));
}

function onKey(event) {
  const isOwn = event.target === code;
  if (event.target === key) return;
  if (event.ctrlKey || event.altKey || event.metaKey) {
    if (isEcho() && event.key.toLowerCase() === "j") event.preventDefault(); // the line feed of a scanner
  } else if (event.key === "Enter" || event.key === "Tab") {
    // A busy machine takes the keys late: whatever is as long as a scan is one, however slowly it came.
    const isScan = isTyping() || typed.length >= A_SCAN || looksLikeCode();
    const isSuffix = isOwn && event.key === "Tab" && !event.shiftKey && isScan;
    const isEchoOfSuffix = !code.value && isEcho();
    if (isSuffix || (!isOwn && isTyping()) || isEchoOfSuffix) event.preventDefault();
    if (!isEchoOfSuffix && event.defaultPrevented) giveField();
  } else if (event.key === "Process" || event.key.length === 1) {
    if (event.key === " " && !isOwn && !isTyping()) return; // presses a button, scrolls
    if (!code.value) typed = [];
    typed.push(event.timeStamp);
    if (isOwn || event.key === "Process") return;
    event.preventDefault();
    code.focus();
    code.value += event.key;
    listen();
  }
}

window.addEventListener("keydown", onKey, true);
code.addEventListener("input", (event) => !event.isComposing && listen());
code.addEventListener("compositionend", listen);
// A click into the field, or on the button, in the middle of a scan would cut it in two.
for (const name of ["pointerdown", "mousedown"]) {
  code.addEventListener(name, (event) => isTyping() && event.preventDefault());
}
form
  .querySelector("button")
  .addEventListener("click", (event) => event.detail > 0 && isTyping() && event.preventDefault());
form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (code.value.trim()) giveField();
  else if (!isEcho()) desk.dispatchEvent(new CustomEvent("next")); // Enter in the empty field: next, please
});

// While signing in again, a scan may go into the field of the key: it is a scan all the same.
key.addEventListener("keydown", (event) => {
  clearTimeout(silence);
  if (!BEGINS.test(key.value)) return;
  if (event.key === "Tab") event.preventDefault();
  silence = setTimeout(() => again.requestSubmit(), event.key === "Tab" ? 0 : patience(key.value));
});
again.addEventListener(
  "submit",
  (event) => {
    if (!BEGINS.test(key.value)) return;
    clearTimeout(silence);
    event.preventDefault();
    event.stopImmediatePropagation();
    give(key.value);
    key.value = "";
  },
  true,
);
