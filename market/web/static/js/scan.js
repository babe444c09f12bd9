/**
 * Scan: a code read by the camera, out of a photo, or typed; then handed to the service by the page's own form.
 *
 * Pictures stay on the device: they are decoded here, by the browser's BarcodeDetector or else by zxing-wasm, which is
 * fetched only then. What is sent is the text, in a form's body, so that it stands in no address and no log.
 *
 * Elements: #scan-view (with video and #scan-torch), #scan-photo, #scan-form (with its `text`); #scan-state says what is
 * going on. `body.dataset.scan` is one of starting, looking, found, stopped, none, refused, busy.
 */

import { $, data, say, show } from "/static/js/ui.js";

/** Between two looks at the camera's picture, in milliseconds: five a second find a code at once and spare the battery. */
const LOOK_MS = 200;
/** The longest side of a picture that is looked at, in pixels: a QR code of ours has some 50 modules. */
const VIDEO_SIDE = 960;
/** A photo is tried at these sizes, the usual one first: noise hides a code in a large one, and a small code needs one. */
const PHOTO_SIDES = [1600, 3200, 800];

const page = data("scan-data");
const words = page.words;
const form = $("#scan-form");
const video = $("#scan-view video");
const torch = $("#scan-torch");
const again = $("#scan-again");
const photo = $("#scan-photo");

let stream = null;
let looking = 0;
let torchOn = false;

function stage(name, sentence = words[name]) {
  document.body.dataset.scan = name;
  say($("#scan-state"), sentence);
  show($("#scan-frame"), name === "looking");
  show(again, ["stopped", "refused", "busy"].includes(name));
}

// ---- reading a picture ----------------------------------------------------------------------------------------------

let reading = null;

/** What reads codes here, made once: a function from a canvas to the texts of the QR codes in it. */
function reader() {
  reading ??= native().then((one) => one ?? compiled()).catch((fault) => {
    reading = null;
    throw fault;
  });
  return reading;
}

async function native() {
  if (!("BarcodeDetector" in window)) return null;
  const formats = await BarcodeDetector.getSupportedFormats().catch(() => []);
  if (!formats.includes("qr_code")) return null;
  const detector = new BarcodeDetector({ formats: ["qr_code"] });
  return async (canvas) => (await detector.detect(canvas)).map((one) => one.rawValue);
}

async function compiled() {
  const zxing = await import("/static/vendor/zxing-wasm/reader/index.js");
  await zxing.prepareZXingModule({ overrides: { locateFile: () => page.wasm }, fireImmediately: true });
  const options = { formats: ["QRCode"], textMode: "Plain", maxNumberOfSymbols: 4, tryHarder: true };
  return async (canvas) => {
    const picture = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    return (await zxing.readBarcodes(picture, options)).filter((one) => one.isValid).map((one) => one.text);
  };
}

const canvas = document.createElement("canvas");

/** The different texts in a picture drawn at most `side` pixels long. */
async function textsIn(source, width, height, side) {
  const scale = Math.min(1, side / Math.max(width, height));
  canvas.width = Math.max(1, Math.round(width * scale));
  canvas.height = Math.max(1, Math.round(height * scale));
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  pen.fillStyle = "#fff"; // what is transparent in a saved picture is paper
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.drawImage(source, 0, 0, canvas.width, canvas.height);
  return [...new Set(await (await reader())(canvas))].filter(Boolean);
}

function found(text) {
  stop();
  stage("found");
  navigator.vibrate?.(60);
  form.elements.text.value = text;
  form.requestSubmit();
}

// ---- the camera -----------------------------------------------------------------------------------------------------

async function open() {
  if (stream) return;
  stage("starting");
  if (!navigator.mediaDevices?.getUserMedia) return stage("none");
  const turn = (looking += 1);
  try {
    const got = await navigator.mediaDevices.getUserMedia({
      audio: false, video: { facingMode: { ideal: "environment" }, width: { ideal: 1280 }, height: { ideal: 960 } },
    });
    if (turn !== looking || document.hidden) return close(got);
    stream = got;
  } catch (fault) {
    return stage({ NotAllowedError: "refused", SecurityError: "refused", NotReadableError: "busy", AbortError: "busy" }[fault.name] ?? "none");
  }
  const [track] = stream.getVideoTracks();
  track.addEventListener("ended", () => { stop(); stage("stopped"); });
  show(torch, Boolean(track.getCapabilities?.().torch));
  video.srcObject = stream;
  show(video);
  try {
    await video.play();
    await reader();
  } catch (fault) {
    if (turn !== looking) return undefined;
    console.error(fault);
    stop();
    return stage("unreadable");
  }
  if (turn !== looking) return undefined;
  stage("looking");
  return look(turn);
}

/** Look at the picture now and then, until something is found or the camera is closed. */
async function look(turn) {
  while (turn === looking && stream) {
    const began = performance.now();
    if (video.videoWidth) {
      const texts = await textsIn(video, video.videoWidth, video.videoHeight, VIDEO_SIDE).catch(() => []);
      if (turn !== looking) return;
      if (texts.length === 1) {
        found(texts[0]);
        return;
      }
      say($("#scan-state"), texts.length ? words.several : words.looking);
    }
    await new Promise((resolve) => { setTimeout(resolve, Math.max(20, LOOK_MS - (performance.now() - began))); });
  }
}

function close(what) {
  for (const track of what?.getTracks() ?? []) track.stop();
}

function stop() {
  looking += 1;
  close(stream);
  stream = null;
  torchOn = false;
  torch.setAttribute("aria-pressed", "false");
  video.srcObject = null;
  show(video, false);
  show(torch, false);
}

torch.addEventListener("click", async () => {
  const [track] = stream?.getVideoTracks() ?? [];
  if (!track) return;
  torchOn = !torchOn;
  await track.applyConstraints({ advanced: [{ torch: torchOn }] }).catch(() => { torchOn = false; });
  torch.setAttribute("aria-pressed", String(torchOn));
});

again.addEventListener("click", open);

// Out of sight the camera is off: nobody wants a lamp and a lens going in a pocket.
document.addEventListener("visibilitychange", () => {
  if (document.hidden && stream) {
    stop();
    stage("stopped");
  } else if (!document.hidden && document.body.dataset.scan === "stopped") open();
});
addEventListener("pagehide", stop);
addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });

// ---- a photo --------------------------------------------------------------------------------------------------------

photo.addEventListener("change", async () => {
  const [file] = photo.files;
  if (!file) return;
  stop();
  stage("reading");
  try {
    const picture = await createImageBitmap(file).catch(() => null);
    if (!picture) return stage("no_picture");
    for (const side of PHOTO_SIDES) {
      const texts = await textsIn(picture, picture.width, picture.height, side);
      if (texts.length > 1) return stage("several_in_photo");
      if (texts.length) return found(texts[0]);
    }
    return stage("no_code");
  } catch (fault) {
    console.error(fault);
    return stage("unreadable");
  } finally {
    photo.value = ""; // the same photo may be chosen again
    show(again);
  }
});

open();
