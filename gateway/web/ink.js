// Paper to draw on. Lengths are in heights of the paper, so what is drawn fits whatever size the paper has.

const THICK = 0.066; // width of a stroke that makes one large character
const THIN = 0.036; // of one among several
const STEP = 1 / 16; // of the pen that the arrow keys move
const SMALL_STEP = 1 / 64;

/** What is drawn on a canvas with pointer or keys. Calls `onChange(isOver)` as it changes; `isOver` after each stroke. */
class Paper {
  #canvas;
  #pen;
  #strokes = [];
  #pointer = null;
  #frame = null;
  #cursor = null; // of the keyboard: { x, y, isDown }
  #width = THICK;

  constructor(canvas, onChange, tell) {
    this.#canvas = canvas;
    this.#pen = canvas.getContext("2d");
    this.onChange = onChange;
    this.tell = tell;
    canvas.addEventListener("pointerdown", (event) => this.#begin(event));
    canvas.addEventListener("pointermove", (event) => this.#go(event));
    for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, (event) => this.#end(event));
    canvas.addEventListener("keydown", (event) => this.#key(event));
    canvas.addEventListener("blur", () => this.#moveCursor(null));
    new ResizeObserver(() => this.#fit()).observe(canvas);
    for (const query of ["(prefers-color-scheme: dark)", "(forced-colors: active)", "(prefers-contrast: more)"])
      matchMedia(query).addEventListener("change", () => this.#redraw());
  }

  get isEmpty() {
    return this.#strokes.length === 0;
  }

  /** How thick the ink is: THICK or THIN. */
  set width(width) {
    this.#width = width;
    this.#redrawSoon();
  }

  clear() {
    this.#lift();
    this.#strokes = [];
    this.#changed(true);
  }

  undo() {
    this.#lift();
    this.#strokes.pop();
    this.#changed(true);
  }

  /** Ends the stroke that is being drawn, by whatever means. */
  #lift() {
    this.#pointer = null;
    if (this.#cursor) this.#cursor.isDown = false;
  }

  /** What is drawn, black on white, on a canvas so many pixels high. */
  copy(height = 280) {
    const frame = this.#canvas.getBoundingClientRect(); // of now: the canvas's own size comes a little after it
    const copy = made("canvas", "", { height, width: Math.round((height * frame.width) / frame.height) });
    const pen = copy.getContext("2d");
    pen.fillStyle = "white";
    pen.fillRect(0, 0, copy.width, copy.height);
    this.#draw(pen, height, "black");
    return copy;
  }

  #fit() {
    const { width, height } = this.#canvas.getBoundingClientRect();
    if (!width) return;
    this.#canvas.width = Math.round(width * devicePixelRatio);
    this.#canvas.height = Math.round(height * devicePixelRatio);
    this.#redraw();
  }

  /** Redraws with the next frame, however many points came since the last one. */
  #redrawSoon() {
    this.#frame ??= requestAnimationFrame(() => this.#redraw());
  }

  #redraw() {
    this.#frame = null;
    this.#pen.clearRect(0, 0, this.#canvas.width, this.#canvas.height);
    const colour = getComputedStyle(this.#canvas).color;
    this.#draw(this.#pen, this.#canvas.height, colour);
    if (this.#cursor) this.#drawCursor(colour);
  }

  #draw(pen, height, colour) {
    pen.strokeStyle = pen.fillStyle = colour;
    pen.lineCap = pen.lineJoin = "round";
    for (const points of this.#strokes) drawStroke(pen, points, height, this.#width * height);
  }

  #drawCursor(colour) {
    const { height } = this.#canvas;
    const [x, y] = [this.#cursor.x * height, this.#cursor.y * height];
    const reach = height / 24;
    const pen = this.#pen;
    pen.strokeStyle = colour;
    pen.lineWidth = height / 160;
    pen.beginPath();
    pen.arc(x, y, reach, 0, 2 * Math.PI);
    for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
      pen.moveTo(x + dx * reach, y + dy * reach);
      pen.lineTo(x + dx * reach * 1.7, y + dy * reach * 1.7);
    }
    pen.stroke();
  }

  #changed(isOver) {
    this.#redrawSoon();
    this.onChange(isOver);
  }

  #begin(event) {
    if (this.#pointer !== null || event.button > 0) return;
    event.preventDefault();
    this.#canvas.focus({ preventScroll: true });
    this.#cursor = null;
    this.#pointer = event.pointerId;
    this.#canvas.setPointerCapture(event.pointerId);
    this.#strokes.push([this.#at(event)]);
    this.#changed(false);
  }

  #go(event) {
    if (event.pointerId !== this.#pointer) return;
    const events = event.getCoalescedEvents?.() ?? [];
    for (const one of events.length ? events : [event]) this.#strokes.at(-1).push(this.#at(one));
    this.#changed(false);
  }

  #end(event) {
    if (event.pointerId !== this.#pointer) return;
    this.#pointer = null;
    this.#changed(true);
  }

  /** The point under a pointer, and how wide the ink is there: a pen's by its pressure, else less where it is fast. */
  #at(event) {
    const frame = this.#canvas.getBoundingClientRect();
    const point = { x: (event.clientX - frame.left) / frame.height, y: (event.clientY - frame.top) / frame.height, width: 1 };
    const before = this.#strokes.at(-1)?.at(-1);
    if (event.pointerType === "pen" && event.pressure > 0) {
      point.width = 0.55 + 0.9 * event.pressure;
    } else if (this.#pointer !== null && before) {
      const speed = Math.hypot(point.x - before.x, point.y - before.y);
      point.width = 0.7 * before.width + 0.3 * Math.max(0.8, 1.12 - 3 * speed);
    }
    return point;
  }

  #key(event) {
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const ratio = this.#canvas.width / this.#canvas.height;
    const cursor = this.#cursor ?? { x: ratio / 2, y: 0.5, isDown: false };
    if (moves[event.key]) {
      const step = event.shiftKey ? SMALL_STEP : STEP;
      const [dx, dy] = moves[event.key];
      const x = Math.min(Math.max(cursor.x + dx * step, 0), ratio);
      const y = Math.min(Math.max(cursor.y + dy * step, 0), 1);
      this.#moveCursor({ ...cursor, x, y });
      this.tell(say("pen_at", { x: percent(x / ratio), y: percent(y) }));
    } else if (event.key === " ") {
      this.#moveCursor({ ...cursor, isDown: !cursor.isDown }, true);
      this.tell(say(cursor.isDown ? "pen_up" : "pen_down"));
    } else if (event.key === "Backspace" || (event.key === "z" && (event.ctrlKey || event.metaKey))) {
      this.undo();
      this.tell(say("undone"));
    } else if (event.key === "Delete") {
      this.clear();
      this.tell(say("cleared"));
    } else {
      return;
    }
    event.preventDefault();
  }

  #moveCursor(cursor, isToggled = false) {
    const wasDown = this.#cursor?.isDown;
    this.#cursor = cursor;
    if (cursor?.isDown && isToggled) this.#strokes.push([{ x: cursor.x, y: cursor.y, width: 1 }]);
    else if (cursor?.isDown) this.#strokes.at(-1)?.push({ x: cursor.x, y: cursor.y, width: 1 });
    if (cursor?.isDown || wasDown) this.#changed(!cursor?.isDown);
    else this.#redrawSoon();
  }
}

/** Draws a stroke as a smooth line through its points, each part as many times `width` wide as its points say. */
function drawStroke(pen, points, height, width) {
  const [first] = points;
  if (points.length === 1) {
    pen.beginPath();
    pen.arc(first.x * height, first.y * height, (first.width * width) / 2, 0, 2 * Math.PI);
    pen.fill();
  }
  let [x, y] = [first.x, first.y];
  for (let at = 1; at < points.length; at++) {
    const [a, b] = [points[at - 1], points[at]];
    const isLast = at === points.length - 1;
    const [endX, endY] = isLast ? [b.x, b.y] : [(a.x + b.x) / 2, (a.y + b.y) / 2];
    pen.lineWidth = ((a.width + b.width) / 2) * width;
    pen.beginPath();
    pen.moveTo(x * height, y * height);
    pen.quadraticCurveTo(a.x * height, a.y * height, endX * height, endY * height);
    pen.stroke();
    [x, y] = [endX, endY];
  }
}
