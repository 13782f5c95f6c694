// The page at /forms: fields marked on one scan → a layout → the fields of other scans as a table and CSV.

const LONGEST_REFERENCE = 1400; // pixels: enough to find a form again
const STEP = 4; // pixels that an arrow key moves a field by
const CHECKS = ["", "luhn", "mod97", "mod11"];

const state = { reference: null, fields: [], models: [], rows: [] }; // reference: a canvas

/** Tells it where one looks: about the scans beside them, else on top. */
function showMessage(text, isWrong = false, place = "message") {
  for (const id of ["message", "told"]) {
    element(id).textContent = id === place ? text : "";
    element(id).classList.toggle("wrong", isWrong);
  }
}

const showAtScans = (text, isWrong = false) => showMessage(text, isWrong, "told");

let last = Promise.resolve(); // of what was asked for

/** Does it when all that was asked for before is done. */
function inTurn(work) {
  last = last.then(work).catch(tellWhy);
}

/** What the server, or the browser, has against it. */
function wordsOf(error) {
  return error instanceof Refusal ? error.words : say("failed", { detail: error.message });
}

const tellWhy = (error) => showMessage(wordsOf(error), true);

const onWait = (why, seconds) => showAtScans(say(why, { seconds }), true);

// The form

function showForm(picture) {
  const scale = Math.min(1, LONGEST_REFERENCE / Math.max(picture.width, picture.height));
  const sheet = element("sheet");
  sheet.width = Math.round(picture.width * scale);
  sheet.height = Math.round(picture.height * scale);
  sheet.getContext("2d").drawImage(picture, 0, 0, sheet.width, sheet.height);
  state.reference = sheet;
  element("marking").hidden = element("scans").hidden = false;
  showFields();
}

async function takeForm(file) {
  const { canvas } = await openPicture(file);
  if (!canvas) return showMessage(say("unsupported_image"), true);
  state.fields = [];
  showMessage("");
  showForm(canvas);
}

async function openLayout(file) {
  try {
    const { reference, fields } = JSON.parse(await file.text());
    const bytes = Uint8Array.from(atob(reference), (one) => one.charCodeAt(0));
    const picture = await createImageBitmap(new Blob([bytes]));
    state.fields = fields.map((field) => ({ ...field, box: [...field.box] }));
    showMessage("");
    showForm(picture);
  } catch {
    showMessage(say("no_layout"), true);
  }
}

/** The layout as the server takes it; what is written in the fields is painted over. */
function layout() {
  const blank = made("canvas", "", { width: state.reference.width, height: state.reference.height });
  const pen = blank.getContext("2d");
  pen.drawImage(state.reference, 0, 0);
  pen.fillStyle = "white";
  for (const { box } of state.fields) pen.fillRect(...box);
  return { reference: blank.toDataURL("image/jpeg", 0.85).split(",")[1], fields: state.fields };
}

// Fields

function addField(box) {
  let number = state.fields.length + 1;
  while (state.fields.some((field) => field.name === say("field", { n: number }))) number++;
  state.fields.push({ name: say("field", { n: number }), box });
  showFields();
  element("page").querySelector("button:last-of-type").focus();
}

function removeField(index) {
  state.fields.splice(index, 1);
  showFields();
  element("add").focus();
}

function showFields() {
  element("page").querySelectorAll("button").forEach((button) => button.remove());
  element("page").append(...state.fields.map(marked));
  element("fields").replaceChildren(...state.fields.map(described));
}

/** A field on the page: moved with the arrow keys, made larger or smaller with Shift, removed with Delete. */
function marked(field, index) {
  const button = made("button", "", { type: "button" });
  button.append(made("span", field.name));
  place(button, field);
  drag(button, field);
  button.addEventListener("keydown", (event) => {
    const moves = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] };
    if (event.key === "Delete" || event.key === "Backspace") removeField(index);
    else if (moves[event.key]) change(field, moves[event.key], event.shiftKey);
    else return;
    event.preventDefault();
    if (!moves[event.key]) return;
    place(button, field);
    tellPlace(field, event.shiftKey);
  });
  return button;
}

/** Lets the pointer move a field. */
function drag(button, field) {
  let from = null;
  button.addEventListener("pointerdown", (event) => {
    event.stopPropagation(); // no new field begins here
    button.setPointerCapture(event.pointerId);
    from = pointOf(event);
  });
  button.addEventListener("pointermove", (event) => {
    if (!from) return;
    const to = pointOf(event);
    change(field, [to[0] - from[0], to[1] - from[1]], false);
    from = to;
    place(button, field);
  });
  for (const end of ["pointerup", "pointercancel"]) button.addEventListener(end, () => (from = null));
}

/** Where a pointer is, in pixels of the form. */
function pointOf(event) {
  const { width, height } = state.reference;
  const frame = element("sheet").getBoundingClientRect();
  const within = (value, most) => Math.round(Math.min(Math.max((value * width) / frame.width, 0), most));
  return [within(event.clientX - frame.left, width), within(event.clientY - frame.top, height)];
}

function change({ box }, [right, down], isSize) {
  const { width, height } = state.reference;
  if (isSize) {
    box[2] = Math.min(Math.max(box[2] + right, 8), width - box[0]);
    box[3] = Math.min(Math.max(box[3] + down, 8), height - box[1]);
  } else {
    box[0] = Math.min(Math.max(box[0] + right, 0), width - box[2]);
    box[1] = Math.min(Math.max(box[1] + down, 0), height - box[3]);
  }
}

let telling = null;

/** Says where a field is, or how large, once it stays so: names that change are not read again. */
function tellPlace({ name, box: [x, y, wide, high] }, isSize) {
  const { width, height } = state.reference;
  const told = isSize ? say("size", { x: percent(wide / width), y: percent(high / height) })
    : say("place", { name, x: percent(x / width), y: percent(y / height) });
  clearTimeout(telling);
  telling = setTimeout(() => announce(told), 300);
}

function place(button, { name, box }) {
  const { width, height } = state.reference;
  const [x, y, wide, high] = box;
  const share = (part, whole) => `${(100 * part) / whole}%`;
  Object.assign(button.style, { left: share(x, width), top: share(y, height), width: share(wide, width), height: share(high, height) });
  if (name) button.setAttribute("aria-label", say("place", { name, x: percent(x / width), y: percent(y / height) }));
}

/** What a field is called and how it is read, to be changed. */
function described(field, index) {
  const item = made("li");
  const told = (name, input) => {
    const label = made("label", say(name));
    label.append(input);
    return label;
  };
  const set = (name, value) => {
    if (value) field[name] = value;
    else delete field[name];
  };
  const remove = made("button", say("remove", { name: field.name }), { type: "button" });
  remove.addEventListener("click", () => removeField(index));
  const name = made("input", "", { value: field.name, required: true, maxLength: 100 });
  name.addEventListener("change", () => {
    const isTaken = state.fields.some((other) => other !== field && other.name === name.value);
    if (!name.value || isTaken) name.value = field.name;
    field.name = name.value;
    const button = element("page").querySelectorAll("button")[index];
    button.firstChild.textContent = field.name;
    remove.textContent = say("remove", { name: field.name });
    place(button, field);
  });
  const length = made("input", "", { type: "number", min: 1, max: 256, value: field.length ?? "" });
  length.addEventListener("change", () => set("length", Number(length.value)));
  const charset = made("input", "", { value: field.charset ?? "" });
  charset.addEventListener("change", () => set("charset", charset.value));
  const check = made("select");
  check.append(...CHECKS.map((one) => made("option", one || "–", { value: one, selected: one === (field.check ?? "") })));
  check.addEventListener("change", () => set("check", check.value));
  const model = made("select");
  const names = state.models.map((one) => one.name);
  const used = field.model ?? state.models.find((one) => one.is_default)?.name;
  model.append(...names.map((one) => made("option", one, { value: one, selected: one === used })));
  model.addEventListener("change", () => set("model", model.value));
  const choice = names.length > 1 ? [told("model", model)] : [];
  item.append(told("name", name), told("length", length), told("charset", charset), told("check", check), ...choice, remove);
  return item;
}

/** Lets a field be drawn on the page with the pointer, from corner to corner. */
function markWithPointer() {
  const page = element("page");
  const mark = element("mark");
  let from = null;
  const boxTo = (to) => [0, 1].map((axis) => Math.min(from[axis], to[axis])).concat([0, 1].map((axis) => Math.abs(from[axis] - to[axis])));
  page.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    page.setPointerCapture(event.pointerId);
    from = pointOf(event);
  });
  page.addEventListener("pointermove", (event) => {
    if (!from) return;
    place(mark, { box: boxTo(pointOf(event)) });
    mark.hidden = false;
  });
  page.addEventListener("pointerup", (event) => {
    if (!from) return;
    const box = boxTo(pointOf(event));
    if (box[2] >= 8 && box[3] >= 8) addField(box);
  });
  for (const end of ["pointerup", "pointercancel"]) page.addEventListener(end, () => {
    from = null;
    mark.hidden = true;
  });
}

// Scans

async function readScans(files) {
  if (!state.fields.length) return showAtScans(say("no_fields"), true);
  const bar = element("progress");
  const content = layout();
  state.rows = [];
  element("table").hidden = element("csv").hidden = true;
  bar.hidden = false;
  try {
    for (const [index, file] of files.entries()) {
      bar.value = index / files.length;
      showAtScans(say("reading", { name: file.name, n: index + 1, count: files.length }));
      showRow(await readScan(file, content));
    }
  } finally {
    bar.hidden = true;
  }
  const doubtful = state.rows.flatMap((row) => row.fields).filter(isDoubtful).length;
  const failed = state.rows.filter((row) => row.error).length;
  const told = [["done", files.length - failed], ["done_failed", failed], ["done_doubt", doubtful]];
  showAtScans(told.filter(([key, count]) => key === "done" || count).map(([key, count]) => say(key, { count })).join(" "), failed > 0);
}

async function readScan(file, content) {
  try {
    const { body } = await openPicture(file);
    const image = await new Promise((resolve, reject) => {
      const reader = new FileReader();
      reader.onload = () => resolve(reader.result.split(",")[1]);
      reader.onerror = () => reject(reader.error); // it is not there any more, say
      reader.readAsDataURL(body);
    });
    const asked = JSON.stringify({ image, layout: content });
    const { fields } = await ask("POST", "/v1/forms:read", asked, "application/json", { onWait });
    return { file: file.name, fields, error: "" };
  } catch (error) {
    if (error.status === 401) throw error; // without a key it is the same with all others
    return { file: file.name, fields: content.fields.map(({ name }) => ({ name, text: "" })), error: wordsOf(error) };
  }
}

const isDoubtful = (field) => field.rejected || field.satisfies === false;

/** Adds a row to the table, and leaves alone those that are there: one may be being corrected. */
function showRow(row) {
  state.rows.push(row);
  if (state.rows.length === 1) {
    const names = [say("file"), ...row.fields.map((field) => field.name), say("error")];
    element("head").replaceChildren(...names.map((name) => made("th", name, { scope: "col" })));
    element("rows").replaceChildren();
    element("table").hidden = element("csv").hidden = false;
  }
  const line = made("tr");
  line.append(made("th", row.file, { scope: "row" }), ...row.fields.map((field) => cell(field, row.file)), made("td", row.error));
  element("rows").append(line);
}

/** What was read in a field, to be corrected; who changes it has no doubt about it. */
function cell(field, file) {
  const input = made("input", "", { value: field.text });
  const mark = () => {
    input.className = isDoubtful(field) ? "doubtful" : "";
    input.setAttribute("aria-label", say(isDoubtful(field) ? "cell_doubt" : "cell", { name: field.name, file }));
  };
  input.addEventListener("input", () => {
    Object.assign(field, { text: input.value, rejected: false, satisfies: true });
    mark();
  });
  mark();
  const found = made("td");
  found.append(input);
  return found;
}

/** The table as CSV (RFC 4180). */
function asCsv() {
  const quoted = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const names = ["file", ...state.rows[0].fields.map((field) => field.name), "doubtful", "error"];
  const rows = state.rows.map(({ file, fields, error }) => {
    const doubtful = fields.filter(isDoubtful).map((field) => field.name);
    return [file, ...fields.map((field) => field.text), doubtful.join("; "), error];
  });
  return [names, ...rows].map((row) => `${row.map(quoted).join(",")}\r\n`).join("");
}

function download(text, type, name) {
  const link = made("a", "", { href: URL.createObjectURL(new Blob([text], { type })), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

/** What was dropped or pasted: a layout, the form where there is none yet, else scans. */
function takeFiles(files) {
  if (/\.json$/i.test(files[0].name)) return openLayout(files[0]);
  return state.reference ? readScans(files) : takeForm(files[0]);
}

// Wiring

function onFiles(id, take) {
  element(id).addEventListener("change", (event) => {
    const files = [...event.target.files];
    event.target.value = "";
    if (files.length) inTurn(() => take(files));
  });
}

onFiles("form", ([file]) => takeForm(file));
onFiles("open", ([file]) => openLayout(file));
onFiles("choose", readScans);
takePictures((files) => inTurn(() => takeFiles(files)));
markWithPointer();
element("add").addEventListener("click", () => {
  const { width, height } = state.reference;
  addField([width * 0.3, height * 0.45, width * 0.4, height * 0.05].map(Math.round));
});
element("save").addEventListener("click", () => download(JSON.stringify(layout()), "application/json", "layout.json"));
element("csv").addEventListener("click", () => download(asCsv(), "text/csv", "forms.csv"));

async function loadModels() {
  let told = "";
  const onWaitHere = (why, seconds) => {
    if (element("message").textContent === told) showMessage((told = say(why, { seconds })), true);
  };
  state.models = (await ask("GET", "/v1/models", null, "", { onWait: onWaitHere })).models;
  if (told && element("message").textContent === told) showMessage("");
  if (state.models.length > 1 && state.fields.length) showFields(); // each with a choice now
}

loadModels().catch(tellWhy);
