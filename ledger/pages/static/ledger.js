// An entry checked in the browser: fetched again, computed again, every step said in words.
// A step is right, wrong, or not checked. What cannot be fetched is not checked; it is never taken as wrong.

const section = document.querySelector("[data-check]");
const { index, size: drawnSize, entryHex, module } = section.dataset;
const proofs = await import(module);
const words = Object.fromEntries(
  Array.from(section.querySelector("[data-words]").content.children, (each) => [
    each.dataset.word,
    each.textContent,
  ]),
);
const marks = section.querySelector("[data-marks]").content;
const [steps, result, start] = ["steps", "result", "start"].map((name) => section.querySelector(`[data-${name}]`));
const ATTEMPTS = 3;

section.querySelector("[data-without]").hidden = true;
section.querySelector("[data-with]").hidden = false;
start.addEventListener("click", async () => {
  start.disabled = true;
  steps.replaceChildren();
  result.hidden = true;
  for (const node of document.querySelectorAll("[data-node]")) node.classList.remove("is-right", "is-wrong");
  try {
    conclude(await check());
  } finally {
    start.disabled = false;
  }
});

// The end of the way when a step cannot be made: what is left is not even tried.
class Stop extends Error {}

async function check() {
  const run = {
    states: new Set(),
    unchecked: "",
    size: 0n,
    say(state, word, values = {}) {
      run.states.add(state);
      if (state === "NOT_CHECKED") run.unchecked = word;
      addStep(state, word, values);
    },
  };
  try {
    await checkAll(run);
  } catch (error) {
    if (!(error instanceof Stop)) throw error;
    run.say(error.state, error.word, error.values);
  }
  return run;
}

async function checkAll(run) {
  const { say } = run;
  if (!crypto.subtle) stop("NOT_CHECKED", "no_webcrypto");

  const [proof, proven, published] = await fetchTexts();
  const { size } = proven;
  run.size = size;
  say("PASSED", "fetched", { size });
  if (proof.index !== BigInt(index)) stop("FAILED", "other_index", { index: proof.index });
  if (published.size !== size) say("NOT_CHECKED", "grew");
  else if (published.text === proven.text) say("PASSED", "same_checkpoint");
  else say("FAILED", "fork");

  const entry = await fetchEntry(size);
  const isSame = proofs.toHex(entry) === entryHex;
  say(isSame ? "PASSED" : "FAILED", isSame ? "entry_same" : "entry_differs");

  const leaf = await proofs.leafHash(entry);
  say(isDrawn(leaf, size) ? "PASSED" : "FAILED", "leaf", { hash: short(leaf) });
  const wanted = proof.index < size ? proofs.inclusionRanges(proof.index, size).length : -1;
  if (proof.hashes.length !== wanted) {
    stop("FAILED", "wrong_length", { count: proof.hashes.length, wanted: Math.max(0, wanted) });
  }
  const way = await proofs.wayToRoot(leaf, proof.index, size, proof.hashes);
  for (const { first, last, hash } of way) {
    const values = { first, last, hash: short(hash) };
    if (size !== BigInt(drawnSize)) say("PASSED", "node", values);
    else if (isDrawn(hash, size)) say("PASSED", "node_same", values);
    else say("FAILED", "node_differs", values);
  }
  const isRoot = proofs.same(way.at(-1)?.hash ?? leaf, proven.root);
  say(isRoot ? "PASSED" : "FAILED", isRoot ? "root_same" : "root_differs");

  const key = await proofs.parseKey(section.querySelector("#vkey").value).catch(() => stop("FAILED", "key_unreadable"));
  const signature = await proofs.checkSignature(proven, key);
  const state = { signed: "PASSED", no_ed25519: "NOT_CHECKED" }[signature] ?? "FAILED";
  say(state, signature);
}

// Proof, its own checkpoint, and the published one, of the same size if the ledger stands still for a moment.
async function fetchTexts() {
  const [proofPath, checkpointPath] = [`/api/v1/ledger/proof?index=${index}`, "/ledger/checkpoint"];
  for (let attempt = 1; ; attempt += 1) {
    const [proofText, note] = await Promise.all([proofPath, checkpointPath].map(async (path) => (await get(path)).text()));
    const proof = read(proofPath, () => proofs.parseProof(proofText));
    const proven = read(proofPath, () => proofs.parseCheckpoint(proof.checkpoint));
    const published = read(checkpointPath, () => proofs.parseCheckpoint(note));
    if (proven.size === published.size || attempt === ATTEMPTS) return [proof, proven, published];
  }
}

async function fetchEntry(size) {
  const [first, ...others] = proofs.bundlePaths(BigInt(index), size).map((path) => `/ledger/tile/${path}`);
  let answer;
  try {
    answer = await get(first);
  } catch (error) {
    if (others.length === 0) throw error;
    answer = await get(others[0]); // a partial bundle goes once the full one is there
  }
  const bytes = new Uint8Array(await answer.arrayBuffer());
  return read(first, () => proofs.entryInBundle(bytes, BigInt(index)));
}

async function get(path) {
  // Kept answers could be of another size than the rest.
  const answer = await fetch(path, { cache: "no-store" }).catch(() => null);
  return answer?.ok ? answer : stop("NOT_CHECKED", "unreachable", { what: path });
}

function read(what, parse) {
  try {
    return parse();
  } catch (error) {
    if (error instanceof proofs.Malformed) return stop("FAILED", "unreadable", { what });
    throw error;
  }
}

function stop(state, word, values = {}) {
  throw Object.assign(new Stop(word), { state, word, values });
}

// Is this hash in the drawing? Marks it there. A drawing of another size cannot be compared.
function isDrawn(hash, size) {
  if (size !== BigInt(drawnSize)) return true;
  const drawn = document.querySelector(`[data-node="${proofs.toHex(hash)}"]:not(.is-given)`);
  drawn?.classList.add("is-right");
  return drawn !== null;
}

function short(hash) {
  return `${proofs.toHex(hash).slice(0, 12)}…`;
}

function addStep(state, word, values) {
  const step = document.createElement("li");
  step.dataset.state = state;
  step.append(marks.querySelector(`[data-state=${state}]`).cloneNode(true), ` ${filled(word, values)}`);
  steps.append(step);
}

function conclude({ states, unchecked, size }) {
  const state = ["FAILED", "NOT_CHECKED"].find((each) => states.has(each)) ?? "PASSED";
  const word = { FAILED: "bad", PASSED: "all_good" }[state] ?? (unchecked === "no_ed25519" ? "all_but_signature" : "open");
  for (const node of document.querySelectorAll("[data-node]:not(.is-given, .is-right)")) {
    node.classList.toggle("is-wrong", state === "FAILED");
  }
  result.dataset.state = state;
  result.textContent = filled(word, { index, size });
  result.hidden = false;
}

function filled(word, values) {
  return words[word].replace(/{(\w+)}/g, (_, name) => String(values[name]));
}
