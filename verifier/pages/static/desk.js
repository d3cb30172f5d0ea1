// The scan station. Every scan goes into a queue that is sent one by one, so that none is lost and each answer belongs
// to its scan. What cannot be sent (no network, signed out, a busy service) stays at the head and is sent again; nothing
// overtakes it. The queue lives in this page only: codes may hold names, so nothing of them is stored.
// After a minute without a hand on keyboard or mouse the fields are blurred, after ten the verdict is cleared.

const MAX_BYTES = 20 * 1024 * 1024;
const DIM_AFTER = 60_000;
const CLEAR_AFTER = 600_000;
const KEPT = 20;
const TRIES = 3; // of a scan that the service fails on, before it is named and the next one goes on
const AGAIN_AFTER = 2_000;
const ANSWER_WITHIN = { code: 30_000, file: 180_000 };

const desk = document.querySelector("[data-desk]");
const [banner, result, said, waiting, last, again] = ["banner", "result", "said", "waiting", "last", "again"].map(
  (name) => desk.querySelector(`[data-${name}]`),
);
const form = desk.querySelector("[data-scan]");
const { code, file, purpose } = form.elements;
const region = desk.querySelector(".result");
const queue = [];
let timers = [];
let isSending = false;

const count = (words) => words.replace("{count}", queue.length);

function warn(words) {
  banner.hidden = !words;
  banner.textContent = words;
}

// --- what is shown ---

function showReady() {
  const ready = document.createElement("p");
  ready.className = "empty";
  ready.textContent = desk.dataset.ready;
  result.replaceChildren(ready);
  said.textContent = "";
  rest();
  if (again.hidden) code.focus();
}

function rest() {
  timers.forEach(clearTimeout);
  region.classList.remove("is-dim");
  timers = result.querySelector(".verdict")
    ? [setTimeout(() => region.classList.add("is-dim"), DIM_AFTER), setTimeout(showReady, CLEAR_AFTER)]
    : [];
}

function showQueue() {
  const others = queue.length - (isSending ? 1 : 0);
  waiting.hidden = others < 1;
  waiting.textContent = others < 1 ? "" : desk.dataset.queued.replace("{count}", others);
  region.classList.toggle("is-busy", queue.length > 0);
  region.setAttribute("aria-busy", queue.length > 0);
  again.querySelector("[data-kept]").textContent = count(desk.dataset.kept);
}

function show(content, line, words, colour) {
  last.prepend(document.importNode(line, true));
  while (last.children.length > KEPT) last.lastElementChild.remove();
  result.replaceChildren(document.importNode(content, true));
  showPrint();
  said.textContent = words;
  desk.dispatchEvent(new CustomEvent("answered", { detail: colour }));
  rest();
}

function showVerdict(answer, verdict) {
  const words = [".headline", ".sentence"].map((name) => verdict.querySelector(name).textContent);
  show(verdict, answer.querySelector("[data-line]").content, words.join(" "), verdict.dataset.colour);
  document.title = words[0] + " · " + document.title.split(" · ").slice(-2).join(" · ");
}

// A scan that cannot be checked, the service's fault or the file's: it is named as not checked, in its place.
function showLost(why) {
  const lost = document.importNode(desk.querySelector(`[data-lost=${why}]`).content, true);
  const [words, line] = [lost.querySelector("p"), lost.querySelector("li")];
  line.querySelector("time").textContent = new Date().toTimeString().slice(0, 8);
  show(words, line, words.textContent, "grey");
}

function showPrint() {
  for (const button of result.querySelectorAll("[data-print]")) {
    button.hidden = false;
    button.addEventListener("click", () => window.print());
  }
}

// --- the queue ---

function add(scan) {
  queue.push({ ...scan, purpose: purpose.value, tries: 0 });
  showQueue();
  sendAll();
}

function addFile(each) {
  if (each.size > MAX_BYTES) warn(desk.dataset.tooLarge);
  else add({ file: each, copy: copyOf(each) });
}

// As it is now: a scanning program may move the file, or write over it, before its turn comes.
function copyOf(each) {
  return each.arrayBuffer().then(
    (bytes) => new File([bytes], each.name, { type: each.type }),
    () => null,
  );
}

async function sendAll() {
  if (isSending || !again.hidden) return;
  isSending = true;
  while (queue.length > 0) {
    showQueue();
    said.textContent = desk.dataset.checking;
    const outcome = await send(queue[0]);
    if (outcome === "unreadable") {
      queue.shift();
      warn("");
      showLost("unreadable");
      continue;
    }
    if (outcome === "signed-out") {
      warn("");
      again.hidden = false;
      again.elements.key.focus();
      break;
    }
    if (outcome === "answered") {
      queue.shift();
      warn("");
    } else if (outcome === "wrong" && ++queue[0].tries >= TRIES) {
      queue.shift();
      showLost("failed");
    } else {
      warn(count(navigator.onLine ? desk.dataset.retrying : desk.dataset.offline));
      await pause();
    }
  }
  isSending = false;
  showQueue();
}

// Until there is a network again, or a moment has passed.
function pause() {
  return new Promise((resolve) => {
    window.addEventListener("online", resolve, { once: true });
    setTimeout(resolve, AGAIN_AFTER);
  });
}

// "answered"; "signed-out"; "wrong": the service failed, or never ends; "later": it is busy or cannot be reached;
// "unreadable": the file is not there any more.
async function send(scan) {
  const content = scan.file ? await scan.copy : scan.code;
  if (content === null) return "unreadable";
  const body = new FormData();
  body.set("token", form.elements.token.value);
  body.set("purpose", scan.purpose);
  body.set(scan.file ? "file" : "code", content);
  const signal = AbortSignal.timeout(ANSWER_WITHIN[scan.file ? "file" : "code"]);
  let response;
  let answer;
  try {
    response = await fetch(form.action, { method: "POST", body, headers: { "X-Fragment": "1" }, signal });
    answer = await read(response);
  } catch (error) {
    return error.name === "TimeoutError" && navigator.onLine ? "wrong" : "later";
  }
  const verdict = answer.querySelector(".verdict");
  if (verdict) {
    showVerdict(answer, verdict);
    return "answered";
  }
  if (answer.querySelector("[name=key]")) return "signed-out";
  if (response.status === 503 || response.status === 429) return "later";
  if (response.status === 403) await renew(); // another session than when the page was loaded
  return "wrong";
}

async function read(response) {
  return new DOMParser().parseFromString(await response.text(), "text/html");
}

// The tokens of the session that this browser has now.
async function renew() {
  const page = await fetch("/desk").then(read, () => null);
  for (const action of ["/desk/scan", "/desk/sign-out"]) {
    const token = `form[action="${action}"] [name=token]`;
    const fresh = page?.querySelector(token);
    if (fresh) desk.querySelector(token).value = fresh.value;
  }
}

// Signed out: the scans are kept, and sent when the counter has signed in again.
again.addEventListener("submit", async (event) => {
  event.preventDefault();
  const problem = again.querySelector("[data-key-problem]");
  const body = new FormData();
  body.set("key", again.elements.key.value);
  again.elements.key.value = "";
  problem.hidden = true;
  const response = await fetch("/desk/sign-in", { method: "POST", body }).catch(() => null);
  const words = response && (await read(response)).querySelector("#key-problem");
  if (words || !response?.ok) {
    problem.textContent = words?.textContent ?? desk.dataset.unreachable;
    problem.hidden = false;
    return;
  }
  await renew();
  again.hidden = true;
  code.focus();
  sendAll();
});

// --- what comes in ---

desk.addEventListener("scanned", (event) => add({ code: event.detail }));
desk.addEventListener("next", () => queue.length === 0 && showReady());
file.addEventListener("change", () => {
  [...file.files].forEach(addFile);
  file.value = "";
  code.focus();
});
for (const name of ["dragover", "drop"]) {
  window.addEventListener(name, (event) => event.preventDefault());
}
desk.addEventListener("drop", (event) => [...event.dataTransfer.files].forEach(addFile));
code.addEventListener("compositionstart", () => warn(desk.dataset.ime));
for (const name of ["pointermove", "keydown"]) {
  window.addEventListener(name, () => timers.length > 0 && rest(), { passive: true });
}
window.addEventListener("offline", () => warn(count(desk.dataset.offline)));
window.addEventListener("online", () => warn(""));
let isDownload = false; // which the browser announces like leaving the page
result.addEventListener("submit", () => {
  isDownload = true;
});
window.addEventListener("beforeunload", (event) => {
  if (queue.length > 0 && !isDownload) event.preventDefault();
  isDownload = false;
});
showPrint();
rest();
