// A session as text or as an object: the work on one image, checked before it is taken over.

import { CLEAN, KINDS, MAX_NAME, SETTINGS } from "./objects.js";

export const FORMAT = "iseg-session";
const VERSION = 2;
const COLOUR = /^#[0-9a-f]{6}$/i;
const UID = /^[\w ]{1,64}$/;

export function sessionOf(image, now) {
  const { id, name, width, height } = image;
  const { opacity, objects, done } = now;
  return { format: FORMAT, version: VERSION, image: { id, name, width, height }, opacity, done: Boolean(done), objects };
}

// A session as a checked object. Throws what is wrong in words.
export function parseSession(given, limits) {
  let value = given;
  if (typeof given === "string") {
    try {
      value = JSON.parse(given);
    } catch {
      throw new Error("The session is not JSON: expected a file saved with “Session”.");
    }
  }
  if (value?.format !== FORMAT || ![1, VERSION].includes(value.version))
    throw new Error("The file is not a session: expected one saved with “Session”.");
  const { image, objects } = value;
  if (!image || typeof image.name !== "string" || !Number.isInteger(image.width) || !Number.isInteger(image.height)) {
    throw new Error("The session does not say which image it is of.");
  }
  if (!Array.isArray(objects) || objects.length > limits.max_objects) {
    throw new Error(`The session holds no list of at most ${limits.max_objects} objects.`);
  }
  return {
    image,
    opacity: within(value.opacity, "opacity", 0, 1),
    done: value.done === true,
    objects: objects.map((each) => parseObject(each, limits)),
  };
}

function parseObject(value, limits) {
  const { name, colour } = value ?? {};
  if (typeof name !== "string" || !COLOUR.test(colour))
    throw new Error("An object of the session has no name or colour.");
  const id = Number.isInteger(value.id) ? value.id : 0;
  const uid = typeof value.uid === "string" && UID.test(value.uid) ? value.uid : `id ${id}`; // of an older session
  const object = { id, uid, name: name.slice(0, MAX_NAME), colour };
  Object.assign(object, { hidden: value.hidden === true, absent: value.absent === true });
  const most = { iterations: limits.max_iterations, threshold: 1, entropy: 1, enhancement: 10 };
  for (const setting of SETTINGS)
    object[setting] = within(value[setting], `${setting} of ${object.name}`, 0, most[setting]);
  object.marks = parseMarks(value.marks, object.name);
  object.words = parseWords(value.words, object.name);
  object.pieces = parsePieces(value.pieces, object.name);
  object.strokes = parseStrokes(value.strokes ?? [], object.name);
  object.clean = Object.fromEntries(CLEAN.filter((each) => value.clean?.[each] === true).map((each) => [each, true]));
  object.decision = parseDecision(value.decision ?? {}, object.name);
  return object;
}

// What was chosen for an object, by the name of the setting; the server checks the values.
function parseDecision(decision, name) {
  const isGood =
    typeof decision === "object" &&
    Object.values(decision).every((value) => ["string", "boolean", "number"].includes(typeof value));
  if (!isGood) throw new Error(`The settings of ${name} in this session cannot be read.`);
  return { ...decision };
}

function parseMarks(marks, name) {
  if (!marks) return { points: [], negative: [], lines: [], boxes: [] };
  const isGood =
    KINDS.every((kind) => Array.isArray(marks[kind])) &&
    tuples(marks.points, 2) &&
    tuples(marks.negative, 2) &&
    tuples(marks.boxes, 4) &&
    marks.lines.every((line) => tuples(line, 2) && line.length);
  if (!isGood) throw new Error(`The marks of ${name} in this session cannot be read.`);
  return Object.fromEntries(KINDS.map((kind) => [kind, marks[kind]]));
}

function parseWords(words, name) {
  if (!words) return null;
  const { phrases, index } = words;
  const isGood =
    Array.isArray(phrases) && phrases.every((phrase) => typeof phrase === "string") && phrases[index] !== undefined;
  if (!isGood) throw new Error(`The words of ${name} in this session cannot be read.`);
  return { phrases, index };
}

function parsePieces(pieces, name) {
  if (!pieces) return null;
  const { coarse, numbers } = pieces;
  const isGood = Array.isArray(numbers) && numbers.length && numbers.every((each) => Number.isInteger(each) && each >= 0);
  if (!isGood) throw new Error(`The regions of ${name} in this session cannot be read.`);
  return { coarse: within(coarse, `coarseness of ${name}`, 0, 1), numbers };
}

function parseStrokes(strokes, name) {
  const isGood =
    Array.isArray(strokes) &&
    strokes.every((each) => each && tuples(each.points, 2) && each.points.length && each.radius > 0);
  if (!isGood) throw new Error(`The strokes of ${name} in this session cannot be read.`);
  return strokes.map(({ points, radius, erases, order }) => {
    return { points, radius, erases: erases === true, order: Number.isInteger(order) ? order : 0 };
  });
}

function tuples(list, length) {
  const isTuple = (each) => Array.isArray(each) && each.length === length && each.every(Number.isFinite);
  return Array.isArray(list) && list.every(isTuple);
}

function within(value, name, low, high) {
  if (!Number.isFinite(value) || value < low || value > high)
    throw new Error(`The session's ${name} is ${value}: expected ${low}..${high}.`);
  return value;
}

// Take a session's objects into a document that is being changed.
export function adoptSession(now, session) {
  const order = Math.max(0, ...session.objects.flatMap(({ strokes }) => strokes.map((stroke) => stroke.order)));
  now.next = 1 + Math.max(0, now.next - 1, ...session.objects.map(({ id }) => id));
  const taken = new Set();
  now.objects = session.objects.map((object) => {
    const id = object.id > 0 && !taken.has(object.id) ? object.id : now.next++;
    taken.add(id);
    return { ...object, id };
  });
  Object.assign(now, { selected: now.objects[0]?.id ?? null, opacity: session.opacity, done: session.done });
  now.order = Math.max(now.order, order + 1);
}
