// Draws the roll, plays the sound, and moves the cursor with it. Every place on the paper is seconds times a scale.
"use strict";
const byId = (id) => document.getElementById(id);
const pieces = JSON.parse(byId("pieces").textContent);
const [view, paper, cursor, clock, seek] = ["view", "paper", "cursor", "clock", "seek"].map(byId);
const canvas = document.querySelector("canvas");
const audio = document.querySelector("audio");
const GUTTER = 44; // pixels at the left for the names of pitches
const NUMBERS = 22; // at the top for the numbers of bars
const BAND = 20; // and above them for the letters of sections, where there are several
const NARROW = matchMedia("(max-width: 34rem)");

let piece; // the one that is shown
let layout; // its rows
let band; // pixels of the band of sections
let head; // and of all that is above the rows
let scale; // pixels a second
let zoom = 1;
let wanted = null; // seconds that the sound is on its way to
window.addEventListener("error", (event) => (document.body.dataset.error = event.message));

const length = () => Math.max(piece.seconds, piece.audio_seconds);
const now = () => Math.min(wanted ?? audio.currentTime, length());
const placeOf = (seconds) => GUTTER + seconds * scale;
const buttons = () => [...document.querySelectorAll("[data-piece]:not([hidden]) [data-part]")];

// The index of the first of sorted values that is greater than x, or where `orEqual` not less.
const firstAbove = (values, x, orEqual = false) => {
  let low = 0;
  let high = values.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle] < x || (values[middle] === x && !orEqual)) low = middle + 1;
    else high = middle;
  }
  return low;
};
const barAt = (seconds) => Math.max(0, Math.min(firstAbove(piece.bars, seconds), piece.bars.length - 1) - 1);
const sectionAt = (seconds) => piece.sections[firstAbove(piece.sections.map(({ bar }) => bar), barAt(seconds)) - 1];
const clockOf = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;

// Rows from top to bottom: every semitone between the extremes, then the drums that are struck, in a lane of their own.
const layOut = () => {
  band = piece.sections.length > 1 ? BAND : 0;
  head = band + NUMBERS;
  const pitches = (drums) => new Set(piece.parts.filter((part) => part.drums === drums).flatMap((part) => [...new Set(part.pitch)]));
  const sung = [...pitches(false)].sort((a, b) => a - b);
  const struck = [...pitches(true)].sort((a, b) => a - b);
  const low = sung.length ? sung[0] - 1 : 0;
  const high = sung.length ? sung[sung.length - 1] + 1 : -1;
  const rows = high - low + 1;
  const room = Math.max(220, innerHeight * 0.52);
  const row = Math.max(3, Math.min(13, Math.floor(room / (rows + struck.length))));
  const drumRow = Math.max(6, Math.min(11, row));
  const lane = head + rows * row + (rows && struck.length ? 20 : 0);
  const places = new Map(struck.map((pitch, i) => [pitch, lane + (struck.length - 1 - i) * drumRow]));
  return { low, high, row, drumRow, lane, places, rows, height: lane + struck.length * drumRow + 6, drums: struck.length > 0 };
};

const fit = () => {
  layout = layOut();
  const bar = piece.bars[piece.bars.length - 1] / (piece.bars.length - 1);
  const fill = (view.clientWidth - GUTTER - 8) / length();
  scale = Math.max(fill, (zoom * (NARROW.matches ? 84 : 96)) / bar);
  paper.style.width = `${Math.ceil(placeOf(length()) + 8)}px`;
  paper.style.height = `${layout.height}px`;
};

const draw = () => {
  const [width, height, dots] = [view.clientWidth, layout.height, window.devicePixelRatio || 1];
  canvas.width = Math.round(width * dots);
  canvas.height = Math.round(height * dots);
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  const context = canvas.getContext("2d");
  const style = getComputedStyle(document.documentElement);
  const paint = Object.fromEntries(["paper", "raised", "ink", "quiet", "rule", "strong", "link"].map((k) => [k, style.getPropertyValue(`--${k}`)]));
  context.scale(dots, dots);
  context.font = `11px ${getComputedStyle(document.body).fontFamily}`;
  context.textBaseline = "middle";
  drawGrid(context, paint, width);
  const sections = band ? drawSections(context, paint, width) : 0;
  const drawn = drawNotes(context, width);
  drawGutter(context, paint);
  Object.assign(document.body.dataset, { drawn, scale, sections });
};

const drawGrid = (context, paint, width) => {
  const { low, high, row, rows, lane, height } = layout;
  for (let pitch = low; pitch <= high; pitch++) {
    context.fillStyle = [1, 3, 6, 8, 10].includes(pitch % 12) ? paint.raised : paint.paper;
    context.fillRect(0, head + (high - pitch) * row, width, row);
    context.fillStyle = paint.rule;
    if (pitch % 12 === 0) context.fillRect(0, head + (high - pitch + 1) * row - 1, width, 1);
  }
  if (layout.drums && rows) context.fillRect(0, lane - 10, width, 1);
  const mean = (scale * piece.bars[piece.bars.length - 1]) / (piece.bars.length - 1);
  const every = [1, 4, 8, 16, 32, 64, 128, 256, 512].find((n) => n * mean >= 34) ?? 1024;
  const from = view.scrollLeft;
  for (let i = barAt((from - GUTTER) / scale); i < piece.bars.length; i++) {
    const x = Math.round(placeOf(piece.bars[i]) - from);
    if (x > width) break;
    const fourth = i % 4 === 0 || i === piece.bars.length - 1;
    if (!fourth && mean < 5) continue;
    context.fillStyle = fourth ? paint.strong : paint.rule;
    context.fillRect(x, fourth ? band + 2 : head - 4, fourth ? 1.5 : 1, height);
    context.fillStyle = fourth ? paint.ink : paint.quiet;
    if (i % every === 0 && i < piece.bars.length - 1) context.fillText(i + 1, x + 4, band + NUMBERS / 2);
  }
};

// A band with the letters of the sections in view, those of one letter in one shade; returns how many. A letter stays in view
// as long as its section does.
const drawSections = (context, paint, width) => {
  const letters = piece.sections.map(({ letter }) => letter.replace("′", ""));
  const kinds = [...new Set(letters)];
  let drawn = 0;
  piece.sections.forEach(({ bar, letter }, i) => {
    const next = piece.sections[i + 1]?.bar ?? piece.bars.length - 1;
    const [x, end] = [bar, next].map((b) => placeOf(piece.bars[b]) - view.scrollLeft);
    if (x > width || end < GUTTER) return;
    context.globalAlpha = 0.14 + 0.13 * (kinds.indexOf(letters[i]) % 4);
    context.fillStyle = paint.link;
    context.fillRect(x, 1, end - x - 1.5, BAND - 2);
    context.globalAlpha = 1;
    context.fillStyle = paint.ink;
    const place = Math.max(x, GUTTER) + 6;
    if (place + context.measureText(letter).width < end) context.fillText(letter, place, BAND / 2);
    drawn++;
  });
  return drawn;
};

// Draws what is in view of the parts that are shown; returns how many notes.
const drawNotes = (context, width) => {
  const { high, row, drumRow, places } = layout;
  const from = (view.scrollLeft - GUTTER) / scale;
  const until = from + width / scale;
  let drawn = 0;
  buttons().forEach((button, index) => {
    if (button.getAttribute("aria-pressed") === "false") return;
    const { drums, start, end, pitch, velocity } = piece.parts[index];
    context.fillStyle = getComputedStyle(button.firstElementChild).color;
    const last = firstAbove(start, until);
    for (let i = 0; i < last; i++) {
      if (end[i] < from) continue;
      const x = placeOf(start[i]) - view.scrollLeft;
      const long = Math.max(drums ? 3 : 2, (end[i] - start[i]) * scale - 1);
      const y = drums ? places.get(pitch[i]) : head + (high - pitch[i]) * row;
      context.globalAlpha = 0.5 + velocity[i] / 254;
      context.fillRect(x, y + 0.5, drums ? Math.min(long, drumRow) : long, (drums ? drumRow : row) - 1);
      drawn++;
    }
  });
  context.globalAlpha = 1;
  return drawn;
};

const drawGutter = (context, paint) => {
  const { low, high, row, lane, height } = layout;
  context.fillStyle = paint.paper;
  context.fillRect(0, 0, GUTTER - 2, height);
  context.fillStyle = paint.quiet;
  context.textAlign = "right";
  for (let pitch = Math.ceil(low / 12) * 12; pitch <= high; pitch += 12) {
    context.fillText(`C${pitch / 12 - 1}`, GUTTER - 6, head + (high - pitch + 0.5) * row);
  }
  if (band) context.fillText("form", GUTTER - 6, BAND / 2);
  if (layout.drums) context.fillText("drums", GUTTER - 6, (lane + height - 6) / 2);
  context.textAlign = "left";
};

// The cursor, the clock and the slider at this moment. The paper is turned where the cursor leaves the view by itself, not
// where somebody scrolled away from it.
let turned = 0;
let following = true;
const show = (follow = false) => {
  const seconds = now();
  const x = placeOf(seconds);
  const inside = x >= view.scrollLeft + GUTTER && x <= view.scrollLeft + view.clientWidth - 24;
  following = follow || inside || (following && view.scrollLeft === turned);
  if (!inside && following) view.scrollLeft = x - GUTTER - view.clientWidth * 0.08;
  turned = view.scrollLeft;
  const bar = barAt(seconds) + 1;
  cursor.style.transform = `translateX(${x}px)`;
  clock.value = `${clockOf(seconds)} / ${clockOf(length())} · bar ${bar} of ${piece.bars.length - 1}`;
  if (band) clock.value += ` · ${sectionAt(seconds).letter}`;
  seek.value = seconds;
  Object.assign(document.body.dataset, { time: seconds, bar, cursor: x });
};

const goTo = (seconds) => {
  wanted = Math.max(0, Math.min(seconds, length()));
  audio.currentTime = wanted;
  show(true);
};

const toggle = () => (audio.paused ? audio.play().catch(complain) : audio.pause());

// Plays the recording ("original") or the MIDI ("audio") from here on.
const sound = (name) => {
  const [seconds, playing] = [now(), !audio.paused];
  for (const button of document.querySelectorAll("[data-sound]")) button.setAttribute("aria-pressed", button.dataset.sound === name);
  audio.src = piece[name];
  document.body.dataset.sound = name;
  goTo(seconds);
  if (playing) audio.play().catch(complain);
};
const otherSound = () => piece.original && sound(document.body.dataset.sound === "audio" ? "original" : "audio");
const complain = (error) => {
  if (error.name !== "AbortError") byId("trouble").hidden = false; // a pause right after play aborts it
};
const frame = () => {
  if (audio.paused) return;
  show();
  requestAnimationFrame(frame);
};

const goBars = (step) => {
  const seconds = now();
  const slack = audio.paused ? 0.001 : 0.4; // so that two quick presses go back two bars while it plays
  const target = step > 0 ? firstAbove(piece.bars, seconds + 0.001) : firstAbove(piece.bars, seconds - slack, true) - 1;
  goTo(piece.bars[Math.max(0, Math.min(target, piece.bars.length - 1))]);
};

const choose = (index) => {
  audio.pause();
  piece = pieces[index];
  for (const about of document.querySelectorAll("[data-piece]")) about.hidden = Number(about.dataset.piece) !== index;
  seek.max = length();
  byId("trouble").hidden = true;
  wanted = 0;
  fit();
  draw();
  if (byId("sounds")) byId("sounds").hidden = !piece.original;
  sound(piece.original ? "original" : "audio");
};

// #piece=2&t=3.5 shows the second piece at 3.5 seconds.
const followAddress = () => {
  const said = new URLSearchParams(location.hash.slice(1));
  const index = Math.max(0, Math.min((Number(said.get("piece")) || 1) - 1, pieces.length - 1));
  if (pieces[index] !== piece) choose(index);
  if (byId("choice")) byId("choice").value = String(index);
  if (said.has("t")) goTo(Number(said.get("t")) || 0);
};

const KEYS = {
  " ": toggle,
  ArrowLeft: () => goBars(-1),
  ArrowRight: () => goBars(1),
  s: otherSound,
  Home: () => goTo(0),
  End: () => goTo(length()),
};
document.addEventListener("keydown", (event) => {
  const act = KEYS[event.key];
  const own = event.target.closest("select") || (event.key === " " && event.target.closest("button"));
  if (!act || own || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  act();
});
view.addEventListener("click", (event) => {
  const { left, top } = paper.getBoundingClientRect();
  const seconds = (event.clientX - left - GUTTER) / scale;
  goTo(event.clientY - top < band ? piece.bars[sectionAt(seconds).bar] : seconds);
});
view.addEventListener("scroll", () => requestAnimationFrame(draw));
seek.addEventListener("input", () => goTo(Number(seek.value)));
byId("play").addEventListener("click", toggle);
byId("choice")?.addEventListener("change", (event) => choose(Number(event.target.value)));
const zoomBy = (factor) => {
  zoom = Math.max(0.02, Math.min(zoom * factor, 32));
  fit();
  draw();
  show(true);
};
byId("wider").addEventListener("click", () => zoomBy(1.5));
byId("narrower").addEventListener("click", () => zoomBy(1 / 1.5));
for (const button of document.querySelectorAll("[data-part]")) {
  button.addEventListener("click", () => {
    button.setAttribute("aria-pressed", button.getAttribute("aria-pressed") === "false");
    draw();
  });
}
for (const button of document.querySelectorAll("[data-sound]")) button.addEventListener("click", () => sound(button.dataset.sound));
audio.addEventListener("play", () => {
  byId("play").textContent = "Pause";
  requestAnimationFrame(frame);
});
audio.addEventListener("pause", () => (byId("play").textContent = "Play"));
audio.addEventListener("seeked", () => {
  wanted = null;
  show();
});
audio.addEventListener("error", complain);
addEventListener("hashchange", followAddress);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
addEventListener("resize", () => zoomBy(1));
followAddress();
