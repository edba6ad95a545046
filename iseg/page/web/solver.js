// Which refined maps the objects need, and how they are had: each set of marks, words and entropy is asked for once and
// kept, so undo, redo and settings that come back cost nothing. Iterations and threshold are no part of it.

import { decodeFloats } from "./maths.js";
import { hasMap, toRequest, usesMarks } from "./objects.js";

const KEPT = 80; // maps beyond those of the objects there are
const PAUSE = 60; // ms; while a slider moves, only where it rests is asked for
const AGAIN = 1000; // ms until a request that failed is sent again; each further one waits twice as long
const LONGEST = 30_000;
const FINAL = ["input"]; // failures that stay while the object stays as it is
const BLANK = { serial: 0, length: 1, count: 1, width: 1, height: 1, steps: new Float32Array(1), form: "grid" }; // of what was only painted

export class Solver {
  constructor(app) {
    this.app = app;
    this.maps = new Map(); // key -> see `decode`
    this.failed = new Map(); // key -> {message, isFinal, tries, after}
    this.asked = new Set(); // keys
    this.shown = new Map(); // object id -> key of the maps it showed last
    this.timer = null;
    this.serial = 0; // tells maps apart
  }

  forget() {
    this.maps.clear();
    this.failed.clear();
    this.shown.clear();
  }

  key(object, image = this.app.image) {
    const { entropy, enhancement, marks, words, pieces, decision } = object;
    const isTogether = marks.boxes.length > 0 && marks.points.length + marks.lines.length > 0; // decided as one
    const isCut = this.app.choices.of(object, "outline") === "cut"; // after the object's own iterations
    const iterations = isTogether || isCut ? object.iterations : null;
    const isMixed = usesMarks(object);
    const spoken = words && { phrases: words.phrases, enhancement, index: isMixed ? words.index : null };
    const model = this.app.progress.model.name;
    return JSON.stringify([model, image?.id, entropy, isMixed ? marks : null, spoken, pieces, decision, iterations]);
  }

  // Maps of an object: those it needs, or while they are on their way those it had; null if there are none yet.
  mapsOf(object) {
    if (!hasMap(object)) return object.strokes.length ? BLANK : null;
    const key = this.key(object);
    if (this.maps.has(key)) this.shown.set(object.id, key);
    const before = this.maps.get(this.shown.get(object.id)); // perhaps of an object that had its number before
    return this.maps.get(key) ?? (before && (before.count === 1 || object.words) ? before : null);
  }

  isPending(object) {
    if (!hasMap(object)) return false;
    const key = this.key(object);
    return !this.maps.has(key) && !this.failed.get(key)?.isFinal;
  }

  failure(object) {
    return this.failed.get(this.key(object))?.message ?? "";
  }

  get busy() {
    return this.asked.size > 0 || this.app.document.visible.some((object) => this.isPending(object));
  }

  soon(pause = PAUSE) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.sync(), pause);
  }

  sync() {
    if (!this.app.image?.prepared) return;
    let wait = Infinity;
    for (const object of this.app.document.visible) {
      const key = this.key(object);
      if (!this.isPending(object) || this.asked.has(key)) continue;
      const left = (this.failed.get(key)?.after ?? 0) - Date.now();
      if (left > 0) wait = Math.min(wait, left);
      else this.#ask(object, key);
    }
    if (wait < Infinity) this.soon(wait);
  }

  // Maps of words, before there are objects for them. Throws what the server says.
  async find(phrases, settings, image) {
    const marks = { points: [], negative: [], lines: [], boxes: [] };
    const blank = { name: "", colour: "#000000", marks, strokes: [], clean: {}, decision: {} };
    const object = { ...blank, words: { phrases, index: 0 }, ...settings };
    const answer = await this.app.request("solve", { object: toRequest(object), slot: "words" }, image);
    const words = { phrases: answer.phrases, index: 0 };
    this.#keep(this.key({ ...object, words }, image), answer);
    return answer;
  }

  async #ask(object, key) {
    const { image } = this.app;
    const { strokes, clean, ...wanted } = toRequest(object); // these do not change the map
    this.asked.add(key);
    this.app.progress.watch();
    try {
      this.#keep(key, await this.app.request("solve", { object: wanted, slot: `object ${object.id}` }, image));
    } catch (error) {
      if (error.code !== "superseded") this.#fail(key, error, image);
    }
    this.asked.delete(key);
    this.soon();
    this.app.draw();
  }

  #fail(key, error, image) {
    const tries = (this.failed.get(key)?.tries ?? 0) + 1;
    const after = Date.now() + Math.min(LONGEST, AGAIN * 2 ** (tries - 1));
    this.failed.set(key, { message: error.message, isFinal: FINAL.includes(error.code), tries, after });
    if (tries === 1 && error.code !== "loading" && image === this.app.image) this.app.messages.error(error.message);
  }

  // The maps of an answer: `length` of them for each of `count` phrases, and how they become scores (see scores.js).
  decode({ shape: [length, count, height, width], steps, seed, form, automatic, cut }) {
    const arrays = { steps: decodeFloats(steps), seed: seed && decodeFloats(seed), cut: cut && decodeCut(cut) };
    return { serial: ++this.serial, length, count, height, width, form, automatic, ...arrays };
  }

  #keep(key, answer) {
    this.failed.delete(key);
    this.maps.set(key, this.decode(answer));
    const needed = new Set([...this.shown.values(), ...this.app.document.now.objects.map((each) => this.key(each))]);
    const spare = [...this.maps.keys()].filter((each) => each !== key && !needed.has(each));
    spare.slice(0, Math.max(0, spare.length - KEPT)).forEach((each) => this.maps.delete(each));
  }
}

function decodeCut({ scores, shape: [count, height, width], at }) {
  return { values: decodeFloats(scores), count, height, width, at };
}

// One map (height x width) of maps: the object's, after some iterations.
export function mapAt(maps, object, iteration) {
  const { width, height, count, length, steps } = maps;
  const step = Math.min(iteration, length - 1);
  const area = width * height;
  const start = (step * count + (count > 1 ? object.words.index : 0)) * area;
  return steps.subarray(start, start + area);
}
