// What both pages share: texts, the server, pictures. The gateway serves this file and a page's own ones as one script.

const texts = JSON.parse(document.getElementById("texts").textContent);
const language = document.documentElement.lang;
const element = (id) => document.getElementById(id);

/** The text of that name in the page's language, with `values` in its {places}. */
function say(name, values = {}) {
  return texts[name].replace(/\{(\w+)\}/g, (_, place) => values[place]);
}

/** Says it to who uses a screen reader. */
function announce(text) {
  const region = element("announcer");
  region.textContent = region.textContent === text ? `${text}\u00a0` : text; // the same text again is news too
}

/** A share as a percentage; never 100 % where it is less. */
function percent(share) {
  const digits = { style: "percent", maximumFractionDigits: 1, roundingMode: "trunc" };
  return new Intl.NumberFormat(language, digits).format(share);
}

/** A new element with a text and properties. */
function made(name, text = "", properties = {}) {
  return Object.assign(document.createElement(name), { textContent: text }, properties);
}

/** What the server said against a request. */
class Refusal extends Error {
  constructor(status, problem) {
    super(problem.detail);
    this.status = status;
    this.code = problem.code;
  }

  /** The reason in the page's language, where it has a text for it. */
  get words() {
    const code = this.status === 415 ? "unsupported_image" : this.code; // whether by its type or by what is in it
    return texts[code] ? say(code) : say("failed", { detail: this.message });
  }
}

let key = "";
let keyAsked = null;

/** Asks the person for a key, once however many requests wait for it; whether there is one then. */
function askForKey() {
  keyAsked ??= new Promise((resolve) => {
    const dialog = element("key");
    const field = element("key-text");
    element("key-wrong").textContent = key ? say("key_wrong") : "";
    dialog.returnValue = "";
    dialog.onclose = () => {
      const isGiven = dialog.returnValue === "use"; // else Escape or the other button has closed it
      if (isGiven) key = field.value.trim();
      field.value = "";
      keyAsked = null;
      resolve(isGiven);
    };
    dialog.showModal();
    field.focus();
  });
  return keyAsked;
}

const SILENCE = 40; // seconds without a sign of the server: more than any request may take it

/** One request: status, Retry-After in seconds, and JSON; status 0 where nothing answers. */
function send(method, path, body, type, { signal, onProgress }) {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(new DOMException("", "AbortError"));
    const request = new XMLHttpRequest();
    const stop = () => request.abort();
    let watch;
    let isLost = false;
    const alive = () => {
      clearTimeout(watch);
      watch = setTimeout(() => {
        isLost = true;
        request.abort();
      }, SILENCE * 1000);
    };
    request.open(method, path);
    request.setRequestHeader("Accept", "application/json");
    if (type) request.setRequestHeader("Content-Type", type);
    if (key) request.setRequestHeader("Authorization", `Bearer ${key}`);
    request.upload.onprogress = (event) => {
      alive();
      onProgress?.(event.loaded / event.total);
    };
    request.onabort = () => isLost || reject(new DOMException("", "AbortError"));
    request.onloadend = () => {
      clearTimeout(watch);
      signal?.removeEventListener("abort", stop);
      let answer = {};
      try {
        answer = JSON.parse(request.responseText);
      } catch {} // a proxy's page, say
      resolve({ status: request.status, wait: Number(request.getResponseHeader("Retry-After")) || 1, answer });
    };
    signal?.addEventListener("abort", stop);
    alive();
    request.send(body);
  });
}

/** Waits, less long if the network comes back meanwhile. */
function pause(seconds, signal) {
  return new Promise((resolve, reject) => {
    const over = new AbortController(); // ends the listening with the pause
    const end = (settle, why) => {
      clearTimeout(timer);
      over.abort();
      settle(why);
    };
    const timer = setTimeout(() => end(resolve), seconds * 1000);
    addEventListener("online", () => end(resolve), { signal: over.signal });
    signal?.addEventListener("abort", () => end(reject, new DOMException("", "AbortError")), { signal: over.signal });
  });
}

/**
 * The server's answer; `body` may be a function that gives the body of each try. Goes on by itself where no server answers or it is busy, and tells `onWait` why and for how many
 * seconds; asks for a key where one is needed. Throws a Refusal, or AbortError once `signal` says so.
 */
async function ask(method, path, body = null, type = "", options = {}) {
  for (let tries = 0; ; tries++) {
    const content = typeof body === "function" ? await body() : body;
    const used = key;
    const { status, wait, answer } = await send(method, path, content, type, options);
    options.signal?.throwIfAborted();
    if (status >= 200 && status < 300) return answer;
    if (status === 401) {
      if (key !== used) continue; // another request has asked for one meanwhile
      if (!(await askForKey())) throw new Refusal(status, answer);
    } else if (status === 0 || [429, 502, 503, 504].includes(status)) {
      const seconds = status === 0 ? Math.min(0.5 * 2 ** tries, 5) : wait;
      options.onWait?.(status === 0 ? "offline" : "busy", seconds);
      await pause(seconds, options.signal);
    } else {
      throw new Refusal(status, answer);
    }
  }
}

const LONGEST = 2048; // pixels of a picture's longer side: what the server reads with
const SMALL = 1 << 20; // bytes of a file that is sent as it is

/** A picture file: what to send of it, its type, and a canvas with its pixels, null where the browser cannot show it. */
async function openPicture(file) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file);
  } catch {
    return { body: file, type: file.type || "image/tiff", canvas: null };
  }
  const scale = Math.min(1, LONGEST / Math.max(bitmap.width, bitmap.height));
  const canvas = made("canvas");
  canvas.width = Math.max(1, Math.round(bitmap.width * scale));
  canvas.height = Math.max(1, Math.round(bitmap.height * scale));
  const pen = canvas.getContext("2d");
  pen.imageSmoothingQuality = "high";
  pen.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  bitmap.close();
  if (scale === 1 && file.size <= SMALL && /^image\/(png|jpeg)$/.test(file.type)) return { body: file, type: file.type, canvas };
  const type = file.type === "image/jpeg" ? "image/jpeg" : "image/webp"; // which keeps what is transparent
  const body = await new Promise((resolve) => canvas.toBlob(resolve, type, 0.92));
  return { body, type: body.type, canvas };
}

/** How bright a canvas is on average, 0 to 255. */
function brightness(canvas) {
  const small = made("canvas", "", { width: 16, height: 16 });
  const pen = small.getContext("2d");
  pen.drawImage(canvas, 0, 0, 16, 16);
  const values = pen.getImageData(0, 0, 16, 16).data;
  let sum = 0;
  for (let at = 0; at < values.length; at += 4) sum += values[at] + values[at + 1] + values[at + 2];
  return sum / (3 * 256);
}

/** A canvas as the base64 of a PNG. */
function asBase64(canvas) {
  return canvas.toDataURL("image/png").split(",")[1];
}

/** Takes the files that are dropped anywhere, and pictures that are pasted; the page is marked while files are dragged over it. */
function takePictures(take) {
  const pictureOf = (transfer) => [...(transfer?.files ?? [])].filter((file) => file.type.startsWith("image/"));
  const mark = (isOver) => document.body.classList.toggle("over", isOver);
  addEventListener("dragover", (event) => {
    if (!event.dataTransfer.types.includes("Files")) return;
    event.preventDefault();
    mark(true);
  });
  addEventListener("dragleave", () => mark(false));
  addEventListener("drop", (event) => {
    mark(false);
    if (!event.dataTransfer.files.length) return;
    event.preventDefault();
    take([...event.dataTransfer.files]);
  });
  addEventListener("paste", (event) => {
    const files = pictureOf(event.clipboardData);
    if (files.length) take(files);
  });
}
