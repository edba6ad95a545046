// What the person made: objects with their marks or words and their settings, and the history of it.

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
const KEPT = 200;

const GENERIC = { iterations: 10, threshold: 0.5, entropy: 0.1, enhancement: 1.6 }; // until the model tells its own

export const SETTINGS = ["iterations", "threshold", "entropy", "enhancement"];

export class Document {
  constructor() {
    this.listeners = [];
    this.past = [];
    this.future = [];
    this.tag = null;
    this.now = { objects: [], selected: null, next: 1, opacity: 0.5, defaults: { ...GENERIC } };
    this.touched = new Set(); // settings that the person has changed
  }

  onChange(listener) {
    this.listeners.push(listener);
  }

  // Change the document. Steps of one drag carry the same tag and become one step of the history.
  update(change, tag = null) {
    const before = structuredClone(this.now);
    change(this.now);
    if (tag === null || tag !== this.tag) {
      this.past.push(before);
      if (this.past.length > KEPT) this.past.shift();
    }
    this.tag = tag;
    this.future = [];
    this.changed();
  }

  // A drag has ended: the next change is a new step.
  seal() {
    this.tag = null;
  }

  // Change what the history does not hold: the selection, the opacity.
  adjust(change) {
    change(this.now);
    this.changed();
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
    this.now = { ...from.pop(), opacity: this.now.opacity };
    this.tag = null;
    this.changed();
  }

  // A new image: nothing of the old one can be undone.
  reset() {
    this.past = [];
    this.future = [];
    this.now = { ...this.now, objects: [], selected: null, next: 1 };
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

  // A mark goes to the selected object if that was made of marks, else to a new one; a box always starts a new one.
  addMark(kind, value) {
    const target = this.selected?.marks && kind !== "boxes" ? this.now.selected : null;
    if (kind === "negative" && target === null) return false;
    this.update((now) => {
      let object = now.objects.find((each) => each.id === target);
      if (!object) {
        object = create(now, { marks: { points: [], negative: [], lines: [], boxes: [] } });
        now.selected = object.id;
      }
      object.marks[kind].push(value);
    });
    return true;
  }

  addWords(phrases) {
    this.update((now) => {
      const made = phrases.map((phrase, index) => create(now, { words: { phrases, index }, name: phrase }));
      now.selected = made[0].id;
    });
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

  // The model's own settings, once it is known: for all that the person has not set.
  adopt(defaults) {
    this.adjust((now) => {
      for (const name of SETTINGS.filter((each) => !this.touched.has(each))) {
        for (const target of [now.defaults, ...now.objects]) target[name] = defaults[name];
      }
    });
  }

  // A setting of the selected object, and of those that follow.
  set(name, value) {
    this.touched.add(name);
    this.update((now) => {
      const object = now.objects.find((each) => each.id === now.selected);
      if (object) object[name] = value;
      now.defaults[name] = value;
    }, `${name} ${this.now.selected}`);
  }

  setting(name) {
    return this.selected?.[name] ?? this.now.defaults[name];
  }
}

export function hasContent(object) {
  if (object.words) return true;
  return object.marks.points.length + object.marks.lines.length + object.marks.boxes.length > 0;
}

function create(now, content) {
  const id = now.next++;
  const used = now.objects.map((object) => object.colour);
  const colour = COLOURS.find((each) => !used.includes(each)) ?? COLOURS[id % COLOURS.length];
  const object = { id, name: `object ${id}`, colour, hidden: false, ...now.defaults, ...content };
  now.objects.push(object);
  return object;
}
