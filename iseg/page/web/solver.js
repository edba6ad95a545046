// Which refined maps the objects need, and how they are had: each set of marks, words and entropy is asked for once and
// kept, so undo, redo and settings that come back cost nothing. Iterations and threshold are no part of it.

import { decodeFloats } from "./maths.js";

const KEPT = 60;
const PAUSE = 60; // ms; while a slider moves, only where it rests is asked for

export class Solver {
  constructor(app) {
    this.app = app;
    this.maps = new Map(); // key -> {side, count, length, steps}
    this.failed = new Map(); // key -> message
    this.asked = new Map(); // key -> promise
    this.shown = new Map(); // object id -> key of the maps it showed last
    this.timer = null;
    this.serial = 0; // tells maps apart
  }

  forget() {
    this.maps.clear();
    this.failed.clear();
    this.shown.clear();
  }

  key(object) {
    const { entropy, enhancement, marks, words } = object;
    const source = marks ? { marks } : { phrases: words.phrases, enhancement };
    return JSON.stringify([this.app.image?.id, entropy, source]);
  }

  // Maps of an object: those it needs, or while they are on their way those it had; null if there are none yet.
  mapsOf(object) {
    const key = this.key(object);
    if (this.maps.has(key)) this.shown.set(object.id, key);
    return this.maps.get(key) ?? this.maps.get(this.shown.get(object.id)) ?? null;
  }

  isPending(object) {
    const key = this.key(object);
    return !this.maps.has(key) && !this.failed.has(key);
  }

  failure(object) {
    return this.failed.get(this.key(object)) ?? "";
  }

  get busy() {
    return this.asked.size > 0 || this.app.document.visible.some((object) => this.isPending(object));
  }

  soon() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.sync(), PAUSE);
  }

  sync() {
    if (!this.app.image?.prepared) return;
    for (const object of this.app.document.visible) {
      const key = this.key(object);
      if (!this.maps.has(key) && !this.failed.has(key) && !this.asked.has(key)) this.#ask(object, key);
    }
  }

  // Maps of words, before there are objects for them. Throws what the server says.
  async find(phrases, settings) {
    const object = { words: { phrases, index: 0 }, ...settings };
    const answer = await this.app.request("solve", { object, slot: "words" });
    this.#keep(this.key({ ...object, words: { phrases: answer.phrases, index: 0 } }), answer);
    return answer.phrases;
  }

  async #ask(object, key) {
    const { marks, words, entropy, enhancement, iterations, threshold } = object;
    const source = marks ? { marks } : { words };
    const slot = marks ? `object ${object.id}` : `words ${words.phrases.join(";")} ${object.id}`;
    const wanted = { ...source, entropy, enhancement, iterations, threshold };
    this.asked.set(key, true);
    this.app.progress.watch();
    try {
      this.#keep(key, await this.app.request("solve", { object: wanted, slot }));
    } catch (error) {
      if (error.code !== "superseded") {
        this.failed.set(key, error.message);
        this.app.messages.error(error.message);
      }
    }
    this.asked.delete(key);
    this.soon();
    this.app.draw();
  }

  #keep(key, answer) {
    const [length, count, side] = answer.shape;
    this.maps.set(key, { serial: ++this.serial, length, count, side, steps: decodeFloats(answer.steps) });
    if (this.maps.size > KEPT) this.maps.delete(this.maps.keys().next().value);
  }
}

// One map (side x side) of maps: the object's, after some iterations.
export function mapAt(maps, object, iteration) {
  const { side, count, length, steps } = maps;
  const step = Math.min(iteration, length - 1);
  const area = side * side;
  const start = (step * count + (object.words?.index ?? 0)) * area;
  return steps.subarray(start, start + area);
}
