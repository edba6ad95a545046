// Settings that the server offers per object: a list to choose from for each, made from what it tells of them.

const NOT_SPREAD = {
  points: "No effect: Markov maps (Points) are not spread along the self-attention.",
  boxes: "No effect: a box that is “not like outside” (Boxes) is not spread along the self-attention.",
};

export class Choices {
  constructor(app, box) {
    this.app = app;
    this.box = box;
    this.fields = [];
  }

  // `choices`: {name, label, kinds, values, default} each.
  offer(choices) {
    this.fields = choices.map((choice) => ({ choice, select: this.#make(choice) }));
    this.box.hidden = !choices.length;
    this.box.replaceChildren(
      ...this.fields.map(({ choice, select }) => {
        const label = document.createElement("label");
        label.append(choice.label, select);
        return label;
      }),
    );
  }

  // What an object has chosen, or the model's own.
  of(object, name) {
    return object.decision[name] ?? this.fields.find(({ choice }) => choice.name === name)?.choice.default;
  }

  // Why the map of an object is not spread, in a sentence; "" where it is.
  notSpread(object) {
    const { points, lines, boxes } = object.marks;
    if (object.words || object.pieces || lines.length) return "";
    if (boxes.length) return this.of(object, "box_decision") !== "absorb" || points.length ? "" : NOT_SPREAD.boxes;
    return points.length && this.of(object, "click_decision") === "markov" ? NOT_SPREAD.points : "";
  }

  #make({ name, values, words }) {
    const select = document.createElement("select");
    select.dataset.choice = name;
    select.append(...words.map((word, k) => new Option(word, String(k))));
    select.addEventListener("change", () => {
      const { document: doc } = this.app;
      doc.edit(doc.now.selected, (object) => (object.decision[name] = values[Number(select.value)]));
    });
    return select;
  }

  draw() {
    const { selected } = this.app.document;
    for (const { choice, select } of this.fields) {
      const { name, kinds, values } = choice;
      const matters = selected && (!kinds.length || kinds.some((kind) => selected.marks[kind].length));
      select.disabled = !matters;
      const value = String(values.indexOf(selected ? this.of(selected, name) : choice.default));
      if (select.value !== value) select.value = value;
    }
  }
}
