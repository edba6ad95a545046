// Settings that the server offers per object: a list to choose from for each, made from what it tells of them.

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
      const value = String(values.indexOf(selected?.decision[name] ?? choice.default));
      if (select.value !== value) select.value = value;
    }
  }
}
