// Shows the camera and takes bursts of pictures, which go to Python as JPEG data URLs.

const LONGER_SIDE = 640;
const QUALITY = 0.9;

const NO_CAMERA_API =
  "The camera works live only at localhost or over https. Here each picture is taken with the device's own camera.";
const NO_PICTURE = "That file could not be opened as a picture. Take or choose another one.";
const ADVICE = {
  NotAllowedError:
    "The browser does not let this page use the camera. Allow it with the sign beside the address, " +
    "then turn the camera on again.",
  NotFoundError: "No camera was found. Connect one, then turn it on again.",
  NotReadableError: "The camera is in use by another program or page. Close that one, then turn the camera on again.",
};

// What each drawing's camera is doing. That goes on from one call to the next.
const cameras = new WeakMap();

export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector(".webcam");
  if (data.stamp < Number(root.dataset.stamp ?? 0)) return; // A late call, see stamp.py.
  root.dataset.stamp = data.stamp;
  if (!cameras.has(root)) cameras.set(root, makeCamera(root));
  const camera = cameras.get(root);
  camera.waiting = camera.waiting.filter(([number]) => number > data.answered);
  Object.assign(camera, { data, setTriggerValue });
  show(camera);
  // Streamlit calls this also after a call that a newer one has overtaken: then the camera stays on.
  return () => {
    if (!root.isConnected) turnOff(camera);
  };
}

// `waiting`: the bursts that the server has not answered yet, [number, data URLs] each.
function makeCamera(root) {
  const [off, video, take, power, status] = root.querySelectorAll("span, video, button, p");
  const camera = { root, off, video, take, power, status, stream: null, state: "off", waiting: [] };
  take.onclick = () => {
    if (mayTake(camera)) takeBurst(camera);
  };
  power.onclick = () => {
    if (isOn(camera)) turnOff(camera);
    else if (mayTurnOn(camera)) turnOn(camera);
  };
  if (!navigator.mediaDevices) takeByFile(camera);
  return camera;
}

// A phone opens its camera for a file input with `capture`; other devices let people choose a file.
function takeByFile(camera) {
  const input = Object.assign(document.createElement("input"), { type: "file", accept: "image/*" });
  input.setAttribute("capture", "environment");
  const label = document.createElement("label");
  label.className = "take";
  label.append("Take a picture", input);
  camera.root.replaceChildren(label, camera.status);
  camera.input = input;
  camera.status.textContent = NO_CAMERA_API;
  input.onchange = async () => {
    const [file] = input.files;
    input.value = "";
    if (!file) return;
    try {
      const bitmap = await createImageBitmap(file, { imageOrientation: "from-image" });
      send(camera, [scaled(bitmap, bitmap.width, bitmap.height)]);
      camera.status.textContent = "1 picture taken.";
    } catch {
      camera.status.textContent = NO_PICTURE;
    }
  };
}

function isOn({ state }) {
  return state === "on" || state === "taking";
}

function mayTurnOn({ state, data }) {
  return state === "off" && !data.disabled;
}

function mayTake({ state, data }) {
  return state === "on" && !data.disabled;
}

async function turnOn(camera) {
  change(camera, "starting", "Waiting for the camera …");
  try {
    camera.stream = await navigator.mediaDevices.getUserMedia({ video: true });
    if (!camera.root.isConnected) return turnOff(camera);
    camera.stream.getTracks()[0].onended = () => turnOff(camera, "The camera was disconnected.");
    camera.video.srcObject = camera.stream;
    await camera.video.play();
    change(camera, "on");
  } catch (error) {
    turnOff(camera, ADVICE[error.name] ?? `The camera could not be turned on: ${error.message}`);
  }
}

function turnOff(camera, sentence) {
  camera.stream?.getTracks().forEach((track) => track.stop());
  camera.stream = camera.video.srcObject = null;
  change(camera, "off", sentence);
}

async function takeBurst(camera) {
  const { stream } = camera;
  const { pictures, every } = camera.data;
  const burst = [];
  while (burst.length < pictures) {
    if (burst.length > 0) await pause(every);
    if (camera.stream !== stream) return; // It was turned off meanwhile.
    // As the camera sees it: only the screen is mirrored.
    burst.push(scaled(camera.video, camera.video.videoWidth, camera.video.videoHeight));
    change(camera, "taking", `${burst.length} of ${pictures}`);
  }
  send(camera, burst);
  change(camera, "on", `${inWords(pictures)} taken.`);
}

function send(camera, burst) {
  camera.waiting.push([(camera.waiting.at(-1)?.[0] ?? camera.data.answered) + 1, burst]);
  camera.setTriggerValue("bursts", camera.waiting);
}

function pause(seconds) {
  return new Promise((resolve) => setTimeout(resolve, seconds * 1000));
}

// A JPEG of an image, of which the longer side is not above LONGER_SIDE.
function scaled(image, width, height) {
  const scale = Math.min(1, LONGER_SIDE / Math.max(width, height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
  return canvas.toDataURL("image/jpeg", QUALITY);
}

function change(camera, state, sentence = "") {
  camera.state = state;
  camera.status.textContent = sentence;
  show(camera);
}

// `aria-disabled`, not `disabled`, which would take the focus away.
function show(camera) {
  if (camera.input) {
    camera.input.disabled = camera.data.disabled;
    return;
  }
  const { off, video, take, power, state, data } = camera;
  off.hidden = state !== "off";
  video.hidden = state === "off";
  take.hidden = !isOn(camera);
  take.textContent = `Take ${inWords(data.pictures)}`;
  take.setAttribute("aria-disabled", String(!mayTake(camera)));
  power.textContent = isOn(camera) ? "Turn off" : "Turn on the camera";
  power.setAttribute("aria-disabled", String(!isOn(camera) && !mayTurnOn(camera)));
}

function inWords(pictures) {
  return pictures === 1 ? "1 picture" : `${pictures} pictures`;
}
