// The list of objects: select, colour, name (a class of the list, or any), show or hide, delete.

import { describe, hasContent, MAX_NAME } from "./objects.js";

export class ObjectList {
  constructor(app, refs) {
    this.app = app;
    this.refs = refs;
    this.rows = new Map();
  }

  // The class list of the server: names to choose from, each with its colour.
  offer(classes) {
    this.classes = new Map(classes.map((each) => [each.name, each]));
    this.refs.classes.replaceChildren(...classes.map(({ name }) => new Option(name, name)));
  }

  draw() {
    const { objects, selected } = this.app.document.now;
    for (const [id, row] of this.rows) {
      if (objects.some((object) => object.id === id)) continue;
      row.remove();
      this.rows.delete(id);
    }
    objects.forEach((object, index) => {
      let row = this.rows.get(object.id);
      if (!row) this.rows.set(object.id, (row = this.#makeRow(object.id)));
      if (this.refs.objects.children[index] !== row)
        this.refs.objects.insertBefore(row, this.refs.objects.children[index] ?? null);
      this.#drawRow(row, object, object.id === selected);
    });
    this.refs["no-objects"].hidden = objects.length > 0;
    if (selected !== this.selected) this.rows.get(selected)?.scrollIntoView({ block: "nearest" });
    this.selected = selected;
  }

  #drawRow(row, object, isSelected) {
    const [pick, colour, name, kind, eye, bin] = row.children;
    row.classList.toggle("selected", isSelected);
    row.classList.toggle("hidden", object.hidden);
    pick.setAttribute("aria-pressed", String(isSelected));
    pick.setAttribute("aria-label", `Select ${object.name}`);
    colour.setAttribute("aria-label", `Colour of ${object.name}`);
    if (document.activeElement !== colour) colour.value = object.colour;
    name.setAttribute("aria-label", `Name of ${object.name}`);
    if (document.activeElement !== name) name.value = object.name;
    [kind.textContent, kind.title] = this.#state(object);
    eye.textContent = object.hidden ? "show" : "hide";
    eye.setAttribute("aria-label", `${object.hidden ? "Show" : "Hide"} ${object.name}`);
    bin.setAttribute("aria-label", `Delete ${object.name}`);
  }

  // What a row says of its object, and the sentence behind it.
  #state(object) {
    const { image, solver } = this.app;
    const failure = solver.failure(object);
    if (failure) return ["failed", failure];
    if (object.absent) return ["not found", "TagCLIP finds other words more likely in this image: hidden until shown"];
    if (image && !object.hidden && hasContent(object) && solver.isPending(object)) return ["…", "being computed"];
    const what = describe(object);
    return this.app.isEmpty(object) ? ["empty mask", `${what}: no pixel reaches the threshold`] : [what, what];
  }

  #makeRow(id) {
    const { document: doc } = this.app;
    const select = () => doc.now.selected !== id && doc.adjust((now) => (now.selected = id));
    const row = document.createElement("li");
    const make = (tag, className, properties) => {
      const element = Object.assign(document.createElement(tag), { className, ...properties });
      row.append(element);
      return element;
    };
    make("button", "pick", { type: "button", textContent: "●" }).addEventListener("click", select);
    const colour = make("input", "colour", { type: "color" });
    colour.addEventListener("input", () => doc.edit(id, (object) => (object.colour = colour.value), `colour ${id}`));
    colour.addEventListener("change", () => doc.seal());
    const name = make("input", "name", { type: "text", maxLength: MAX_NAME, spellcheck: false });
    name.setAttribute("list", "iseg-classes");
    name.addEventListener("focus", select);
    name.addEventListener("change", () => this.#rename(id, name));
    name.addEventListener("keydown", (event) => event.key === "Enter" && name.blur());
    make("span", "kind");
    make("button", "plain small", { type: "button" }).addEventListener("click", () =>
      doc.edit(id, (object) => Object.assign(object, { hidden: !object.hidden, absent: false })),
    );
    const bin = make("button", "plain small", { type: "button", textContent: "✕" });
    bin.addEventListener("click", () => doc.remove(id));
    row.addEventListener("click", (event) => (event.target === row || event.target.className === "kind") && select());
    row.addEventListener("dblclick", (event) => {
      if (event.target === row || event.target.className === "kind") this.app.act("zoom-object");
    });
    return row;
  }

  #rename(id, input) {
    const { document: doc } = this.app;
    const text = input.value.trim();
    const colour = this.classes?.get(text)?.colour;
    if (text) doc.edit(id, (object) => Object.assign(object, { name: text }, colour && { colour }));
    else input.value = doc.now.objects.find((object) => object.id === id).name;
  }
}
