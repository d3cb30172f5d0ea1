// What a counter chose, its purpose and its sound, outlives a reload; nothing of a scan is kept. Where the browser
// keeps nothing, the choice lasts as long as the page. Two tones: up for valid, down for everything else.

const desk = document.querySelector("[data-desk]");
const purpose = desk.querySelector("[name=purpose]");
const box = desk.querySelector("[data-sound-box]");
let audio = null;

function kept(name) {
  try {
    return localStorage.getItem(name);
  } catch {
    return null;
  }
}

function keep(name, value) {
  try {
    localStorage.setItem(name, value);
  } catch {
    // full, or forbidden
  }
}

const wanted = kept("yz_desk_purpose");
if ([...purpose.options].some((each) => each.value === wanted)) purpose.value = wanted;
purpose.addEventListener("change", () => keep("yz_desk_purpose", purpose.value));

desk.querySelector("[data-sound]").hidden = false;
box.checked = kept("yz_desk_sound") === "1";
box.addEventListener("change", () => {
  keep("yz_desk_sound", box.checked ? "1" : "0");
  audio ??= new AudioContext();
});

desk.addEventListener("answered", (event) => {
  if (!box.checked) return;
  audio ??= new AudioContext(); // a scan is a hand on the keyboard, after which the browser lets it sound
  audio.resume();
  (event.detail === "green" ? [880, 1320] : [330, 220]).forEach((pitch, nth) => {
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
});
