// What the person made of an image: its objects, and the history of them.

import { copy, create, hasContent, SETTINGS } from "./objects.js";

const KEPT = 200;
const GENERIC = { iterations: 10, threshold: 0.5, entropy: 0.1, enhancement: 1.6, clean: {} }; // until the model tells its own

export class Document {
  constructor() {
    this.listeners = [];
    this.limit = 200; // objects
    this.past = [];
    this.future = [];
    this.tag = null;
    this.now = { ...empty(), opacity: 0.5, defaults: { ...GENERIC } };
    this.touched = new Set(); // settings that the person has changed
  }

  onChange(listener) {
    this.listeners.push(listener);
  }

  // Change the document. Steps of one drag carry the same tag and become one step of the history.
  update(change, tag = null) {
    const before = this.now;
    this.#apply(change);
    if (tag === null || tag !== this.tag) {
      this.past.push(before);
      if (this.past.length > KEPT) this.past.shift();
    }
    this.tag = tag;
    this.future = [];
    this.changed();
  }

  // Change one object.
  edit(id, change, tag = null) {
    this.update((now) => change(own(now, id), now), tag);
  }

  // A drag has ended: the next change is a new step.
  seal() {
    this.tag = null;
  }

  // Change what the history does not hold: the selection, the opacity.
  adjust(change) {
    this.#apply(change);
    this.changed();
  }

  #apply(change) {
    const now = { ...this.now, objects: [...this.now.objects], defaults: { ...this.now.defaults } };
    change(now);
    this.now = now;
  }

  undo() {
    this.#swap(this.past, this.future);
  }

  redo() {
    this.#swap(this.future, this.past);
  }

  #swap(from, to) {
    if (!from.length) return;
    to.push(this.now);
    const { opacity, next, order } = this.now;
    const then = from.pop();
    this.now = { ...then, opacity, next: Math.max(next, then.next), order: Math.max(order, then.order) };
    this.tag = null;
    this.changed();
  }

  // A new image: nothing of the old one can be undone. `kept`: the work on it so far.
  reset(kept = null) {
    this.past = kept?.past ?? [];
    this.future = kept?.future ?? [];
    this.tag = null;
    const { opacity, defaults } = this.now;
    this.now = kept ? { ...kept.now, defaults } : { ...empty(), opacity, defaults };
    this.changed();
  }

  changed() {
    this.listeners.forEach((listener) => listener());
  }

  get selected() {
    return this.now.objects.find((object) => object.id === this.now.selected) ?? null;
  }

  // The objects that are shown and saved.
  get visible() {
    return this.now.objects.filter((object) => !object.hidden && hasContent(object));
  }

  get isFull() {
    return this.now.objects.length >= this.limit;
  }

  // A mark goes to the selected object, else to a new one; a box starts a new one unless `toSelected`. Returns what is
  // in the way: "" if nothing is.
  addMark(kind, value, toSelected = false) {
    const target = kind === "boxes" && !toSelected ? null : this.selected;
    if (kind === "negative" && !target) return "First mark what belongs to the object; then what does not.";
    if (!target && this.isFull) return this.fullText;
    this.update((now) => this.#target(now, target).marks[kind].push(value));
    return "";
  }

  addStroke(stroke) {
    const target = this.selected;
    if (!target && stroke.erases) return "First choose the object to erase from.";
    if (!target && this.isFull) return this.fullText;
    this.update((now) => this.#target(now, target).strokes.push({ ...stroke, order: now.order++ }));
    return "";
  }

  get fullText() {
    return `There are ${this.limit} objects already, and no more can be saved: remove one first.`;
  }

  // The object that something is added to; what is added to is shown.
  #target(now, target) {
    const object = target ? own(now, target.id) : create(now);
    object.hidden = object.absent = false;
    now.selected = object.id;
    return object;
  }

  // A region becomes an object; with `joins` it becomes part of the selected one, or leaves it. Returns what is in the way.
  addPiece(coarse, number, joins = false) {
    const target = joins ? this.selected : null;
    if (target && !target.pieces) return "Only an object made of regions can take another: click one first.";
    if (target && target.pieces.coarse !== coarse) return "The selected object is of other regions: move the slider back.";
    if (!target && this.isFull) return this.fullText;
    const numbers = target?.pieces.numbers ?? [];
    const others = numbers.filter((each) => each !== number);
    if (target && !others.length && numbers.length) return ""; // its last region stays
    const now = others.length < numbers.length ? others : [...numbers, number];
    this.update((state) => Object.assign(this.#target(state, target), { pieces: { coarse, numbers: now }, threshold: 0.5 }));
    return "";
  }

  // Objects of the phrases of one prompt. One that was found by the same phrase before is brought up to date.
  addWords(phrases, found) {
    const phraseOf = ({ words }) => words?.phrases[words.index].toLowerCase();
    const known = (now, phrase) => now.objects.find((each) => phraseOf(each) === phrase.toLowerCase());
    const fresh = phrases.filter((phrase) => !known(this.now, phrase)).length;
    if (this.now.objects.length + fresh > this.limit) return this.fullText;
    this.update((now) => {
      const made = phrases.map((phrase, index) => {
        const words = { phrases, index };
        const absent = found ? !found[index] : false;
        const old = known(now, phrase);
        if (!old) return create(now, { words, name: phrase, absent, hidden: absent });
        return Object.assign(own(now, old.id), { words, absent, hidden: absent || (old.hidden && !old.absent) });
      });
      now.selected = (made.find((each) => !each.absent) ?? made[0]).id;
    });
    return "";
  }

  remove(id) {
    this.update((now) => {
      now.objects = now.objects.filter((object) => object.id !== id);
      if (now.selected === id) now.selected = now.objects.at(-1)?.id ?? null;
    });
  }

  clear() {
    if (!this.now.objects.length) return;
    this.update((now) => {
      now.objects = [];
      now.selected = null;
    });
  }

  // The model's own settings, once it is known: for all that the person has not set, on new objects.
  adopt(defaults) {
    this.adjust((now) => {
      for (const name of SETTINGS.filter((each) => !this.touched.has(each))) now.defaults[name] = defaults[name];
      now.defaults.clean = defaults.clean;
    });
  }

  // A setting of the selected object, and of those that follow.
  set(name, value) {
    this.touched.add(name);
    this.update((now) => {
      if (this.selected) own(now, now.selected)[name] = value;
      now.defaults[name] = value;
    }, `${name} ${this.now.selected}`);
  }

  setting(name) {
    return this.selected?.[name] ?? this.now.defaults[name];
  }
}

const empty = () => ({ objects: [], selected: null, next: 1, order: 1, done: false });

// The copy of an object that a change of `now` may change.
function own(now, id) {
  const index = now.objects.findIndex((object) => object.id === id);
  now.objects[index] = copy(now.objects[index]);
  return now.objects[index];
}
