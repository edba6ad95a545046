// The list of objects and the sliders.

import { entropyAt, entropyPosition } from "./maths.js";
import { SETTINGS } from "./document.js";

const KINDS = { points: "point", negative: "subtracted", lines: "line", boxes: "box" };
const PLURALS = { boxes: "boxes", negative: "subtracted" };

export class Sidebar {
  constructor(app, refs) {
    this.app = app;
    this.refs = refs;
    this.rows = new Map();
    this.sliders = Object.fromEntries(
      [...SETTINGS, "opacity"].map((name) => [name, refs.page.querySelector(`#iseg-${name}`)]),
    );
    for (const [name, slider] of Object.entries(this.sliders)) {
      slider.addEventListener("input", () => this.#slide(name, Number(slider.value)));
      slider.addEventListener("change", () => app.document.seal());
    }
  }

  #slide(name, position) {
    const { document: doc } = this.app;
    if (name === "iterations") this.app.player.stop();
    if (name === "opacity") doc.adjust((now) => (now.opacity = position));
    else doc.set(name, name === "entropy" ? entropyAt(position) : position);
  }

  draw() {
    this.#drawObjects();
    this.#drawSliders();
  }

  #drawSliders() {
    const { document: doc, limits } = this.app;
    const { selected } = doc;
    const iterations = this.app.player.step ?? doc.setting("iterations") ?? 0;
    this.sliders.iterations.max = limits.max_iterations;
    this.#show("iterations", iterations, `${iterations}`);
    this.#show("threshold", doc.setting("threshold"), (doc.setting("threshold") ?? 0).toFixed(2));
    const entropy = doc.setting("entropy") ?? 0;
    this.#show("entropy", entropyPosition(entropy), entropy === 0 ? "off" : String(entropy));
    this.sliders.entropy.setAttribute("aria-valuetext", entropy === 0 ? "off" : String(entropy));
    this.#show("enhancement", doc.setting("enhancement"), `× ${(doc.setting("enhancement") ?? 1).toFixed(1)}`);
    this.#show("opacity", doc.now.opacity, `${Math.round(doc.now.opacity * 100)} %`);
    this.sliders.enhancement.disabled = Boolean(selected?.marks);
    this.refs.whose.textContent = selected ? `of ${selected.name}` : "of the next object";
  }

  #show(name, value, text) {
    const slider = this.sliders[name];
    if (value !== undefined && Number(slider.value) !== value) slider.value = value;
    const output = slider.parentElement.querySelector("output");
    if (output.textContent !== text) output.textContent = text;
  }

  #drawObjects() {
    const { document: doc, solver } = this.app;
    const { objects, selected } = doc.now;
    for (const [id, row] of this.rows) {
      if (!objects.some((object) => object.id === id)) {
        row.remove();
        this.rows.delete(id);
      }
    }
    objects.forEach((object, index) => {
      let row = this.rows.get(object.id);
      if (!row) this.rows.set(object.id, (row = this.#makeRow(object.id)));
      if (this.refs.objects.children[index] !== row)
        this.refs.objects.insertBefore(row, this.refs.objects.children[index] ?? null);
      const [pick, colour, name, kind, eye, bin] = row.children;
      const isSelected = object.id === selected;
      row.classList.toggle("selected", isSelected);
      row.classList.toggle("hidden", object.hidden);
      pick.setAttribute("aria-pressed", String(isSelected));
      pick.setAttribute("aria-label", `Select ${object.name}`);
      colour.setAttribute("aria-label", `Colour of ${object.name}`);
      if (document.activeElement !== colour) colour.value = object.colour;
      name.setAttribute("aria-label", `Name of ${object.name}`);
      if (document.activeElement !== name) name.value = object.name;
      const failure = solver.failure(object);
      const isWaiting = this.app.image && !object.hidden && solver.isPending(object) && describe(object) !== "empty";
      kind.textContent = failure ? "failed" : isWaiting ? "…" : describe(object);
      kind.title = failure;
      eye.textContent = object.hidden ? "show" : "hide";
      eye.setAttribute("aria-label", `${object.hidden ? "Show" : "Hide"} ${object.name}`);
      bin.setAttribute("aria-label", `Delete ${object.name}`);
    });
    this.refs["no-objects"].hidden = objects.length > 0;
  }

  #makeRow(id) {
    const { document: doc } = this.app;
    const change = (edit, tag) => doc.update((now) => edit(now.objects.find((object) => object.id === id)), tag);
    const select = () => doc.now.selected !== id && doc.adjust((now) => (now.selected = id));
    const row = document.createElement("li");
    const make = (tag, className, properties) => {
      const element = Object.assign(document.createElement(tag), { className, ...properties });
      row.append(element);
      return element;
    };
    make("button", "pick", { type: "button", textContent: "●" }).addEventListener("click", select);
    const colour = make("input", "colour", { type: "color" });
    colour.addEventListener("input", () => change((object) => (object.colour = colour.value), `colour ${id}`));
    colour.addEventListener("change", () => doc.seal());
    const name = make("input", "name", { type: "text", maxLength: 60, spellcheck: false });
    name.addEventListener("focus", select);
    name.addEventListener("change", () => {
      const text = name.value.trim();
      if (text) change((object) => (object.name = text));
      else name.value = doc.now.objects.find((object) => object.id === id).name;
    });
    name.addEventListener("keydown", (event) => event.key === "Enter" && name.blur());
    make("span", "kind");
    make("button", "plain small", { type: "button" }).addEventListener("click", () =>
      change((object) => (object.hidden = !object.hidden)),
    );
    make("button", "plain small", { type: "button", textContent: "✕" }).addEventListener("click", () => doc.remove(id));
    row.addEventListener("click", (event) => (event.target === row || event.target.className === "kind") && select());
    return row;
  }
}

function describe({ marks, words }) {
  if (words) return "words";
  const parts = Object.entries(KINDS).map(([kind, one]) => {
    const count = marks[kind].length;
    return count ? `${count} ${count > 1 ? (PLURALS[kind] ?? `${one}s`) : one}` : "";
  });
  return parts.filter(Boolean).join(", ") || "empty";
}
