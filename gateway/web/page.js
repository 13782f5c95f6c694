// The page at /: what is drawn or shown → what the server reads → text, bars, boxes and speech.

const SETTLED = 600; // milliseconds without a change after which a result is announced
const MOST_BARS = 12;
const ALTERNATIVES = 4;

const state = {
  models: [],
  takesFeedback: false,
  picture: null, // { body, type, canvas } as openPicture gives it
  answer: null,
  sent: null, // the canvas that the answer is about
  corrected: new Map(), // index of a character → its right label
  chosen: null, // index of a character
};

const paper = new Paper(element("paper"), inkChanged, announce);
const isDrawing = () => document.querySelector("[name=source]:checked").value === "draw";
const isOne = () => document.querySelector("[name=kind]:checked").value === "one";
const charactersOf = (answer) => answer.lines?.flatMap((line) => line.characters) ?? [answer];
const labelOf = (index) => state.corrected.get(index) ?? charactersOf(state.answer)[index].prediction;

// Asking

let work = null; // what is being asked: { control, isStale, sent }
let timer = null;
let settling = 0;
let opening = 0; // of the pictures chosen so far: the number of the last one

/** Asks soon: while something is being drawn, at most five times a second. */
function inkChanged(isOver) {
  clearTimeout(settling);
  element("hint").hidden = !paper.isEmpty;
  if (paper.isEmpty) return startAnew();
  showBusy(true);
  timer ??= setTimeout(recognise, isOver ? 50 : 200);
}

/** Forgets the answer and what is being asked. */
function startAnew() {
  clearTimeout(timer);
  clearTimeout(settling);
  timer = null;
  work?.control.abort();
  work = null;
  element("progress").hidden = true;
  showBusy(false);
  showMessage("");
  showAnswer(null);
}

function askAnew() {
  startAnew();
  if (isDrawing() ? !paper.isEmpty : state.picture) recognise();
}

async function recognise() {
  timer = null;
  if (work) {
    work.isStale = true;
    return;
  }
  showBusy(true);
  const own = (work = { control: new AbortController(), isStale: false, sent: null });
  try {
    do {
      own.isStale = false;
      const answer = await askAbout(own);
      showMessage("");
      showAnswer(answer, own.sent);
      settle(() => tellAnswer());
    } while (own.isStale);
  } catch (error) {
    if (error.name === "AbortError") return;
    if (!(error instanceof Refusal)) throw error;
    const isDark = error.code === "no_ink" && !isDrawing() && state.picture?.canvas && brightness(state.picture.canvas) < 70;
    showAnswer(null);
    settle(() => showMessage(isDark ? say("no_ink_dark") : error.words, true));
  } finally {
    if (work === own) finish(own);
  }
}

/** Ends what was being asked, and asks again where something has changed meanwhile. */
function finish({ isStale }) {
  work = null;
  element("progress").hidden = true;
  if (isStale) recognise();
  else if (!timer) showBusy(false);
}

/** The answer about what is on the paper or the picture now. */
function askAbout(own) {
  const model = element("models").value;
  const options = new URLSearchParams(model ? { model } : {});
  if (isOne()) options.set("include", "input");
  const path = `${isOne() ? "/v1/predict" : "/v1/read"}?${options}`;
  const onWait = (why, seconds) => {
    tellWait(why, seconds);
    if (state.answer) showAnswer(null); // which was about what was there before
  };
  const waiting = { signal: own.control.signal, onWait };
  if (isDrawing()) {
    return ask("POST", path, () => {
      own.isStale = false;
      own.sent = paper.copy();
      return new Promise((resolve) => own.sent.toBlob(resolve, "image/png"));
    }, "image/png", waiting);
  }
  const { body, type, canvas } = state.picture;
  own.sent = canvas;
  return ask("POST", path, body, type, { ...waiting, onProgress: showProgress });
}

/** Does it once nothing has changed for a while; at once for a picture, which nobody is drawing. */
function settle(tell) {
  clearTimeout(settling);
  settling = setTimeout(tell, isDrawing() ? SETTLED : 0);
}

// Telling

function showMessage(text, isWrong = false) {
  const message = element("message");
  if (message.textContent !== text) message.textContent = text;
  message.classList.toggle("wrong", isWrong);
  showWaiting();
}

/** What stands where an answer will be, as long as there is nothing else to say. */
function showWaiting() {
  element("waiting").hidden = Boolean(state.answer || element("message").textContent);
}

const tellWait = (why, seconds) => showMessage(say(why, { seconds }), true);

/** Whether what is shown may not be about what is on the paper now; messages are none of it, for they are to be heard. */
function showBusy(isBusy) {
  element("answer").ariaBusy = String(isBusy);
}

function showProgress(share) {
  const bar = element("progress");
  bar.hidden = false;
  if (share < 1) bar.value = share;
  else bar.removeAttribute("value"); // sent, and now being read
  showMessage(say(share < 1 ? "sending" : "reading"));
}

function currentText() {
  if (!state.answer.lines) return labelOf(0);
  let index = 0;
  return state.answer.lines.map((line) => line.characters.map(() => labelOf(index++)).join("")).join("\n");
}

function tellAnswer() {
  if (!state.answer) return;
  announce(inWords());
  if (element("aloud").checked) speak();
}

/** How many characters are in doubt: rejected by the model, and not corrected. */
function doubts() {
  return charactersOf(state.answer).filter((item, at) => item.rejected && !state.corrected.has(at)).length;
}

/** The answer as a sentence. */
function inWords() {
  const { answer } = state;
  const count = doubts();
  const told = !count ? "announce" : answer.lines ? "announce_some_doubt" : "announce_doubt";
  return say(told, { text: spoken(currentText()), percent: percent(answer.confidence), count });
}

// Showing

/** Shows the answer about the canvas `sent`, or none. */
function showAnswer(answer, sent = null) {
  state.answer = answer;
  state.sent = sent;
  state.corrected.clear();
  state.chosen = null;
  element("answer").hidden = !answer;
  showWaiting();
  element("correction").hidden = true;
  for (const svg of document.querySelectorAll(".boxes")) svg.replaceChildren();
  if (!answer) return;
  const isReading = Boolean(answer.lines);
  element("chances").hidden = element("seen").hidden = isReading;
  element("reading").hidden = !isReading;
  element("text").classList.toggle("several", isReading);
  showText();
  if (isReading) showReading(answer);
  else showOne(answer);
  showModel(answer.model);
}

function showText() {
  const { answer } = state;
  let index = 0;
  const parts = (answer.lines ?? [{ characters: [answer] }]).map((line) =>
    line.characters.map((item) => {
      const at = index++;
      return made(item.rejected && !state.corrected.has(at) ? "u" : "span", labelOf(at));
    })
  );
  element("text").replaceChildren(...parts.flatMap((part, at) => (at ? ["\n", ...part] : part)));
  const count = doubts();
  const told = count ? (answer.lines ? "some_doubt" : "doubt") : state.corrected.size ? "by_you" : "sure";
  element("certainty").textContent = say(told, { percent: percent(answer.confidence) });
  element("certainty").classList.toggle("doubt", count > 0);
}

function showOne(answer) {
  element("seen").querySelector("img").src = `data:image/png;base64,${answer.input}`;
  const all = Object.entries(answer.probabilities);
  const shown = all.length > MOST_BARS ? all.sort((a, b) => b[1] - a[1]).slice(0, MOST_BARS) : all;
  const list = element("bars");
  const before = [...list.children].map((item) => item.firstChild.textContent);
  if (before.join("\n") !== shown.map(([label]) => label).join("\n")) list.replaceChildren(...shown.map(([label]) => bar(label)));
  shown.forEach(([label, share], at) => {
    const item = list.children[at];
    item.classList.toggle("best", label === answer.prediction);
    item.querySelector("i span").style.width = `${share * 100}%`;
    item.lastChild.textContent = percent(share);
  });
  offerCorrection();
}

/** Where there is one character alone, correcting is for sending feedback. */
function offerCorrection() {
  if (state.takesFeedback && state.sent) choose(0);
}

function bar(label) {
  const item = made("li");
  const track = made("i", "", { ariaHidden: "true" });
  track.append(made("span"));
  item.append(made("b", label), track, made("span"));
  return item;
}

function showReading(answer) {
  let index = 0;
  const items = answer.lines.flatMap((line, at) => {
    const own = line.characters.map((item) => characterItem(item, index++));
    return at ? [made("li", "", { className: "break", role: "presentation" }), ...own] : own;
  });
  element("characters").replaceChildren(...items);
  const others = answer.candidates.slice(1).filter((item) => item.probability >= 0.001);
  const list = others.map((item) => say("alternative", { text: item.text.replaceAll("\n", " / "), percent: percent(item.probability) }));
  element("others").textContent = list.length ? say("others", { list: list.join(", ") }) : "";
  if (state.sent) showBoxes(answer);
}

function characterItem(character, index) {
  const item = made("li");
  const button = made("button", "", { type: "button", className: character.rejected ? "doubtful" : "" });
  button.append(made("span", character.prediction), made("small", percent(character.confidence)));
  button.setAttribute("aria-label", describe(character, index));
  button.addEventListener("focus", () => choose(index));
  button.addEventListener("click", (event) => {
    choose(index); // Safari does not focus what is clicked
    if (event.detail === 0) (element("alternatives").firstChild ?? element("right")).focus(); // Enter: Tab would choose the next one
  });
  item.append(button);
  return item;
}

/** A character and its alternatives, in words. */
function describe(character, index) {
  const values = { n: index + 1, text: character.prediction, percent: percent(character.confidence) };
  const or = alternativesTo(character).map(([text, share]) => say("or", { text, percent: percent(share) }));
  return [say(character.rejected ? "character_doubt" : "character", values), ...or].join("; ");
}

function alternativesTo(character) {
  return Object.entries(character.probabilities)
    .filter(([label, share]) => label !== character.prediction && share >= 0.001)
    .sort((a, b) => b[1] - a[1])
    .slice(0, ALTERNATIVES);
}

function showBoxes(answer) {
  const svg = document.querySelector(isDrawing() ? "#drawing .boxes" : "#photo .boxes");
  svg.setAttribute("viewBox", `0 0 ${state.sent.width} ${state.sent.height}`);
  const boxes = charactersOf(answer).map((character, index) => {
    const box = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    ["x", "y", "width", "height"].forEach((name, at) => box.setAttribute(name, character.box[at]));
    box.classList.toggle("doubtful", character.rejected);
    box.addEventListener("click", () => buttonOf(index).focus());
    return box;
  });
  svg.replaceChildren(...boxes);
}

const buttonOf = (index) => element("characters").querySelectorAll("button")[index];

function showModel(answered) {
  const model = state.models.find((item) => item.name === (answered?.name ?? element("models").value));
  if (!model) return;
  const version = model.versions.find((item) => (answered ? item.version === answered.version : item.labels.includes("stable")));
  const { classes } = model;
  const named = classes.length <= MOST_BARS ? classes.join(" ")
    : say("about_many", { first: classes[0], last: classes.at(-1), count: classes.length });
  const accuracy = version?.accuracy ? say("about_accuracy", { percent: percent(version.accuracy) }) : "";
  element("about").textContent = `${say("about", { model: model.name, version: answered?.version ?? version?.version ?? "–", classes: named })}${accuracy}.`;
}

// Correcting

/** Shows a character's alternatives, and what corrects it. */
function choose(index) {
  state.chosen = index;
  const character = charactersOf(state.answer)[index];
  [...element("characters").querySelectorAll("button")].forEach((item, at) => item.classList.toggle("chosen", at === index));
  document.querySelectorAll(".boxes rect").forEach((box, at) => box.classList.toggle("chosen", at === index));
  element("alternatives").replaceChildren(
    ...alternativesTo(character).map(([text, share]) => {
      const button = made("button", say("alternative", { text, percent: percent(share) }), { type: "button" });
      button.addEventListener("click", () => correct(text));
      return button;
    })
  );
  element("right").value = "";
  element("feedback").hidden = !state.takesFeedback || !state.sent || !state.corrected.has(index);
  element("correction").hidden = false;
}

function correct(label) {
  const index = state.chosen;
  state.corrected.set(index, label);
  showText();
  if (state.answer.lines) {
    const button = buttonOf(index);
    button.replaceChildren(made("span", label), made("small", "✓"));
    button.className = "chosen";
    button.setAttribute("aria-label", say("character", { n: index + 1, text: label, percent: say("by_you") }));
    document.querySelectorAll(".boxes rect")[index]?.classList.remove("doubtful"); // a TIFF has no boxes
  }
  element("feedback").hidden = !state.takesFeedback || !state.sent;
  announce(say("corrected", { n: index + 1, text: label }));
}

async function sendFeedback() {
  const { answer, chosen: index } = state;
  const { box } = charactersOf(state.answer)[index];
  const body = { image: asBase64(box ? cutOut(state.sent, box) : state.sent), label: labelOf(index), model: state.answer.model.name };
  element("feedback").hidden = true;
  element("right").focus();
  try {
    await ask("POST", "/v1/feedback", JSON.stringify(body), "application/json", { onWait: tellWait });
    showMessage(say("thanks"));
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    showMessage(error.words, true);
    if (state.answer === answer && state.chosen === index) element("feedback").hidden = false;
  }
}

/** What is inside a box, and a little around it. */
function cutOut(canvas, [x, y, width, height]) {
  const margin = Math.round(0.2 * Math.max(width, height));
  const cut = made("canvas", "", { width: width + 2 * margin, height: height + 2 * margin });
  const pen = cut.getContext("2d");
  pen.fillStyle = "white";
  pen.fillRect(0, 0, cut.width, cut.height);
  pen.drawImage(canvas, margin - x, margin - y);
  return cut;
}

// Speech

/** The text as it is to be said: digits one by one, or as a number. */
function spoken(text) {
  const lines = text.split("\n");
  return (element("say-as").value === "digits" ? lines.map((line) => [...line].join(" ")) : lines).join(". ");
}

function speak() {
  const chosen = element("voice").value;
  const isOwn = chosen.split("-")[0] === language; // else the page's words are not the voice's
  const words = new SpeechSynthesisUtterance(doubts() && isOwn ? inWords() : spoken(currentText()));
  words.lang = chosen;
  words.rate = Number(element("rate").value);
  const voices = speechSynthesis.getVoices().filter((voice) => voice.lang === chosen);
  words.voice = voices.find((voice) => voice.localService) ?? voices[0] ?? null; // one on this device, where there is one
  words.onerror = ({ error }) => {
    if (!["canceled", "interrupted"].includes(error)) showMessage(say("no_voice"), true);
  };
  speechSynthesis.cancel();
  speechSynthesis.speak(words);
}

/** Offers the languages that there are voices for, the page's own first. */
function fillVoices() {
  const select = element("voice");
  const before = select.value;
  const names = new Intl.DisplayNames(language, { type: "language" });
  const known = speechSynthesis.getVoices().map((voice) => voice.lang.replace("_", "-"));
  const own = known.find((code) => code.split("-")[0] === language) ?? language;
  const codes = [...new Set([own, ...known.sort()])];
  select.replaceChildren(...codes.map((code) => made("option", names.of(code), { value: code })));
  if (codes.includes(before)) select.value = before;
}

// Pictures

async function takePicture([file]) {
  if (!file) return;
  const own = ++opening;
  document.querySelector("[name=source][value=picture]").checked = true;
  document.querySelector("[name=kind][value=several]").checked = true;
  state.picture = null;
  showSource();
  showMessage(say("reading"));
  const picture = await openPicture(file);
  if (own !== opening) return; // another one has been chosen
  state.picture = picture;
  const shown = element("picture");
  const { canvas } = picture;
  shown.hidden = !canvas;
  element("empty").hidden = Boolean(canvas);
  element("empty").textContent = file.name;
  if (canvas) {
    shown.width = canvas.width;
    shown.height = canvas.height;
    shown.getContext("2d").drawImage(canvas, 0, 0);
    shown.setAttribute("aria-label", say("picture", { name: file.name }));
  }
  if (!isDrawing()) askAnew();
}

function showSource() {
  element("drawing").hidden = !isDrawing();
  element("photo").hidden = isDrawing();
  element("paper").classList.toggle("several", !isOne());
  paper.width = isOne() ? THICK : THIN;
  askAnew();
}

// Wiring

async function loadModels() {
  let told = "";
  const tell = (text) => {
    const isOurs = !work && element("message").textContent === told; // none that came later
    told = text;
    if (isOurs) showMessage(text, Boolean(text));
  };
  let found;
  try {
    found = await ask("GET", "/v1/models", null, "", { onWait: (why, seconds) => tell(say(why, { seconds })) });
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return tell(error.words);
  }
  const { models, feedback } = found;
  state.models = models;
  state.takesFeedback = feedback === true;
  const names = models.map((model) => made("option", model.name, { value: model.name, selected: model.is_default }));
  element("models").replaceChildren(...names);
  element("model-choice").hidden = models.length < 2;
  showModel(state.answer?.model);
  if (state.answer && !state.answer.lines) offerCorrection();
  tell("");
}

for (const radio of document.querySelectorAll("[name=source], [name=kind]")) radio.addEventListener("change", showSource);
element("undo").addEventListener("click", () => {
  announce(say(paper.isEmpty ? "cleared" : "undone"));
  paper.undo();
});
element("clear").addEventListener("click", () => {
  announce(say("cleared"));
  paper.clear();
});
for (const id of ["file", "camera"]) {
  element(id).addEventListener("change", (event) => {
    takePicture([...event.target.files]);
    event.target.value = ""; // so that the same file can be chosen again
  });
}
takePictures(takePicture);
element("models").addEventListener("change", () => {
  askAnew();
  showModel(null);
});
element("correction").addEventListener("submit", (event) => {
  event.preventDefault();
  const label = element("right").value.trim();
  if (label) correct(label);
});
element("feedback").addEventListener("click", sendFeedback);
element("copy").hidden = !navigator.clipboard; // browsers give it to pages over HTTPS and on localhost
element("copy").addEventListener("click", async () => {
  try {
    await navigator.clipboard.writeText(currentText());
    showMessage(say("copied"));
  } catch (error) {
    showMessage(say("failed", { detail: error.message }), true);
  }
});
if ("speechSynthesis" in window) {
  fillVoices();
  speechSynthesis.addEventListener?.("voiceschanged", fillVoices);
  element("speak").addEventListener("click", speak);
} else {
  element("speak").hidden = element("speech").hidden = true;
}
showSource();
loadModels();
