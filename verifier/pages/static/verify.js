// The page for checking: dropping a file, and a live camera where the browser itself reads QR codes.
// Without this script the page works with its plain forms.

const MAX_BYTES = 20 * 1024 * 1024;

for (const form of document.querySelectorAll("[data-drop]")) {
  const input = form.querySelector("input[type=file]");
  const area = form.querySelector(".drop");
  const problem = form.querySelector("[data-problem]");
  form.querySelector("[data-drop-words]").hidden = false;

  const tooLarge = () => {
    const isTooLarge = (input.files[0]?.size ?? 0) > MAX_BYTES;
    problem.hidden = !isTooLarge;
    problem.textContent = isTooLarge ? form.dataset.tooLarge : "";
    return isTooLarge;
  };

  for (const name of ["dragenter", "dragover"]) {
    form.addEventListener(name, (event) => {
      event.preventDefault();
      area.classList.add("is-over");
    });
  }
  form.addEventListener("dragleave", () => area.classList.remove("is-over"));
  form.addEventListener("drop", (event) => {
    event.preventDefault();
    area.classList.remove("is-over");
    if (event.dataTransfer.files.length > 0) {
      input.files = event.dataTransfer.files;
      if (!tooLarge()) form.requestSubmit();
    }
  });
  input.addEventListener("change", tooLarge);
  form.addEventListener("submit", (event) => {
    if (tooLarge()) event.preventDefault();
  });
}

// A file that misses the box must not replace the page.
for (const name of ["dragover", "drop"]) {
  window.addEventListener(name, (event) => event.preventDefault());
}

const camera = document.querySelector("[data-camera]");
if (camera && (await canReadCodes())) setUpCamera(camera);

async function canReadCodes() {
  if (!("BarcodeDetector" in window) || !navigator.mediaDevices?.getUserMedia) return false;
  return (await BarcodeDetector.getSupportedFormats()).includes("qr_code");
}

function setUpCamera(section) {
  const [live, start, stop, viewfinder, words] = ["live", "start", "stop", "viewfinder", "words"].map((name) =>
    section.querySelector(`[data-${name}]`),
  );
  const video = viewfinder.querySelector("video");
  const detector = new BarcodeDetector({ formats: ["qr_code"] });
  let stream = null;
  live.hidden = false;

  const end = () => {
    stream?.getTracks().forEach((track) => track.stop());
    stream = null;
    viewfinder.hidden = stop.hidden = true;
    start.hidden = false;
  };

  const look = async () => {
    while (stream) {
      const [found] = await detector.detect(video).catch(() => []);
      if (found?.rawValue) {
        const form = document.querySelector("[data-code-form]");
        form.querySelector("input").value = found.rawValue;
        end();
        form.requestSubmit();
        return;
      }
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  };

  start.addEventListener("click", async () => {
    const wish = { facingMode: { ideal: "environment" }, width: { ideal: 1280 }, height: { ideal: 720 } };
    try {
      stream = await navigator.mediaDevices.getUserMedia({ video: wish, audio: false });
    } catch (error) {
      const kinds = { NotAllowedError: "denied", NotFoundError: "missing", NotReadableError: "busy" };
      words.textContent = section.dataset[kinds[error.name] ?? "busy"];
      return;
    }
    video.srcObject = stream;
    viewfinder.hidden = stop.hidden = false;
    start.hidden = true;
    words.textContent = section.dataset.looking;
    await video.play();
    await look();
  });
  stop.addEventListener("click", () => {
    end();
    words.textContent = "";
    start.focus();
  });
  document.addEventListener("visibilitychange", () => document.hidden && end());
}
