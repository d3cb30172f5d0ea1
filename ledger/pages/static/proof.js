// The ledger's texts and sums, computed in the browser: RFC 6962 hashes, C2SP notes, proofs and tiles.
// Nothing here touches the page. What is not in its form raises Malformed.

const TILE_WIDTH = 256;
const HASH_SIZE = 32;
const ED25519 = 0x01;

export class Malformed extends Error {}

export const toHex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

export const same = (a, b) => a.length === b.length && a.every((byte, i) => byte === b[i]);

// --- hashes; sizes and numbers are BigInt, as a log may outgrow 2^53 ---

export async function sha256(...parts) {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", joined(...parts)));
}

export const leafHash = (entry) => sha256([0], entry);
export const nodeHash = (left, right) => sha256([1], left, right);

// The subtrees whose roots prove leaf `index` in a tree of `size`, the leaf's sibling first: [start, end].
export function inclusionRanges(index, size) {
  const ranges = [];
  let [start, end] = [0n, size];
  while (end - start > 1n) {
    let half = 1n;
    while (half * 2n < end - start) half *= 2n;
    const middle = start + half;
    if (index < middle) {
      ranges.unshift([middle, end]);
      end = middle;
    } else {
      ranges.unshift([start, middle]);
      start = middle;
    }
  }
  return ranges;
}

// Every node on the way from the leaf to the root: {first, last, hash}. The last one is the root, if all is right.
export async function wayToRoot(leaf, index, size, hashes) {
  let [first, last, hash] = [index, index, leaf];
  const way = [];
  for (const [i, [start, end]] of inclusionRanges(index, size).entries()) {
    if (end <= first) {
      hash = await nodeHash(hashes[i], hash);
      first = start;
    } else {
      hash = await nodeHash(hash, hashes[i]);
      last = end - 1n;
    }
    way.push({ first, last, hash });
  }
  return way;
}

// --- texts ---

export function fromBase64(text) {
  try {
    return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  } catch {
    throw new Malformed("base64");
  }
}

export function parseNumber(text) {
  if (!/^(0|[1-9][0-9]{0,18})$/.test(text)) throw new Malformed("number");
  return BigInt(text);
}

// A checkpoint as a signed note: {text, origin, size, root, signatures: [{name, keyId, signature}]}.
export function parseCheckpoint(note) {
  const cut = note.lastIndexOf("\n\n");
  if (cut < 0 || !note.endsWith("\n")) throw new Malformed("note");
  const text = note.slice(0, cut + 1);
  const [origin, size, root] = text.split("\n");
  const signatures = note
    .slice(cut + 2, -1)
    .split("\n")
    .map((line) => {
      const [, name, encoded] = /^— (\S+) (\S+)$/.exec(line) ?? [];
      if (!name) throw new Malformed("signature line");
      const bytes = fromBase64(encoded);
      return { name, keyId: bytes.slice(0, 4), signature: bytes.slice(4) };
    });
  return { text, origin, size: parseNumber(size ?? ""), root: hashOf(root ?? ""), signatures };
}

// A tlog-proof: {index, hashes, checkpoint}; the checkpoint is the note as text.
export function parseProof(text) {
  const cut = text.indexOf("\n\n");
  const [header, index, ...hashes] = text.slice(0, Math.max(0, cut)).split("\n");
  if (header !== "c2sp.org/tlog-proof@v1" || !index?.startsWith("index ")) throw new Malformed("proof");
  return {
    index: parseNumber(index.slice("index ".length)),
    hashes: hashes.map(hashOf),
    checkpoint: text.slice(cut + 2),
  };
}

// --- tiles ---

// Paths at which the bundle with entry `index` may be: the one of this size, and the full one that replaces it.
export function bundlePaths(index, size) {
  const tile = index / BigInt(TILE_WIDTH);
  const digits = String(tile);
  const padded = digits.padStart(Math.ceil(digits.length / 3) * 3, "0");
  const path = padded.replace(/(\d{3})(?=\d)/g, "x$1/");
  const width = size - tile * BigInt(TILE_WIDTH);
  return width < TILE_WIDTH ? [`entries/${path}.p/${width}`, `entries/${path}`] : [`entries/${path}`];
}

// Entry `index` out of the bytes of its bundle: each entry has its length before it, in two bytes.
export function entryInBundle(bytes, index) {
  let at = 0;
  for (let left = index % BigInt(TILE_WIDTH); ; left -= 1n) {
    const end = at + 2 + bytes[at] * 256 + bytes[at + 1];
    if (!(end <= bytes.length)) throw new Malformed("bundle");
    if (left === 0n) return bytes.slice(at + 2, end);
    at = end;
  }
}

// --- signatures ---

// An Ed25519 verifier key, name+id+base64. The id must be that of the name and the key.
export async function parseKey(vkey) {
  const [name, id, ...rest] = vkey.trim().split("+"); // base64 may hold a plus sign too
  const key = fromBase64(rest.join("+"));
  if (key.length !== 33 || key[0] !== ED25519) throw new Malformed("key");
  const keyId = (await sha256(new TextEncoder().encode(`${name}\n`), key)).slice(0, 4);
  if (toHex(keyId) !== id) throw new Malformed("key id");
  return { name, keyId, key: key.slice(1) };
}

// "signed", "badly_signed", "unsigned", or "no_ed25519" where the browser does not know Ed25519.
export async function checkSignature(checkpoint, { name, keyId, key }) {
  const lines = checkpoint.signatures.filter((line) => line.name === name && same(line.keyId, keyId));
  if (lines.length === 0 || checkpoint.origin !== name) return "unsigned";
  let known;
  try {
    known = await crypto.subtle.importKey("raw", key, "Ed25519", false, ["verify"]);
  } catch {
    return "no_ed25519";
  }
  const text = new TextEncoder().encode(checkpoint.text);
  for (const { signature } of lines) {
    if (!(await crypto.subtle.verify("Ed25519", known, signature, text))) return "badly_signed";
  }
  return "signed";
}

function joined(...parts) {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

function hashOf(text) {
  const bytes = fromBase64(text);
  if (bytes.length !== HASH_SIZE) throw new Malformed("hash");
  return bytes;
}
