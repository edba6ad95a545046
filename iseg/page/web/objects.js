// What an object is: marks, words, brush strokes, clean-up and settings. Objects are never changed in place: a change
// makes a copy, so that the history can share all that stays the same.

export const SETTINGS = ["iterations", "threshold", "entropy", "enhancement"];
export const KINDS = ["points", "negative", "lines", "boxes"];
export const CLEAN = ["clip", "clicked", "largest", "holes", "smooth"];
export const MAX_NAME = 400;

const COLOURS = [
  "#ff5a5f",
  "#2f9bff",
  "#27b376",
  "#ffb000",
  "#a259ff",
  "#00b8c4",
  "#ff7ab6",
  "#8bc34a",
  "#c97b3d",
  "#6070ff",
];

const noMarks = () => ({ points: [], negative: [], lines: [], boxes: [] });

// What tells an object from all others, in every tab and for every person; `id` is a number within one document.
function identity() {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

// A new object at the end of a document's list.
export function create(now, content = {}) {
  const id = now.next++;
  const used = now.objects.map((object) => object.colour);
  const colour = COLOURS.find((each) => !used.includes(each)) ?? COLOURS[id % COLOURS.length];
  const own = { marks: noMarks(), words: null, pieces: null, strokes: [], clean: { ...now.defaults.clean }, decision: {} };
  const object = { id, uid: identity(), name: `object ${id}`, colour, hidden: false, absent: false, ...now.defaults, ...own, ...content };
  now.objects.push(object);
  return object;
}

// A copy whose lists can be changed; their entries are shared and stay as they are.
export function copy(object) {
  const marks = Object.fromEntries(KINDS.map((kind) => [kind, [...object.marks[kind]]]));
  return { ...object, marks, strokes: [...object.strokes], clean: { ...object.clean }, decision: { ...object.decision } };
}

export const isMarked = ({ marks }) => marks.points.length + marks.lines.length + marks.boxes.length > 0;

// Whether it has a map; what was only painted has none.
export const hasMap = (object) => Boolean(isMarked(object) || object.words || object.pieces);

export const hasContent = (object) => Boolean(hasMap(object) || object.strokes.length);

// Whether its map comes from marks at all; negative ones alone need words or regions to be subtracted from.
export const usesMarks = (object) => isMarked(object) || (object.marks.negative.length > 0 && hasMap(object));

export const isCorrected = ({ strokes, clean }) => strokes.length > 0 || CLEAN.some((name) => clean[name]);

// What the server needs to compute an object's region.
export function toRequest(object) {
  const { name, colour, words, pieces = null, strokes, clean, decision } = object;
  const settings = Object.fromEntries(SETTINGS.map((setting) => [setting, object[setting]]));
  const marks = usesMarks(object) ? object.marks : null;
  return { name, colour, ...settings, marks, words, pieces, strokes, clean, decision };
}

export function describe({ marks, words, pieces, strokes }) {
  const count = (number, one, more = `${one}s`) => (number ? `${number} ${number > 1 ? more : one}` : "");
  const parts = [
    words ? "words" : "",
    count(pieces?.numbers.length ?? 0, "region"),
    count(marks.points.length, "point"),
    count(marks.lines.length, "line"),
    count(marks.boxes.length, "box", "boxes"),
    count(marks.negative.length, "subtracted", "subtracted"),
    count(strokes.length, "stroke"),
  ];
  return parts.filter(Boolean).join(", ") || "empty";
}
