// The sliders and the clean-up of the selected object, with one sentence of help at each.

import { entropyAt, entropyPosition } from "./maths.js";
import { CLEAN, SETTINGS } from "./objects.js";

const HELP = {
  iterations: "How often the map is spread along the self-attention: more fills the object, too many leak.",
  threshold: "Pixels of the map above this belong to the object: lower is larger.",
  entropy: "How strongly the self-attention is sharpened before it spreads: more keeps object and ground apart.",
  enhancement: "How loudly the model is told the words, for objects that words describe.",
  opacity: "How strongly the overlay covers the image, here and in the saved overlay.",
  clip: "Nothing outside the object's boxes.",
  clicked: "Only the pieces that a point or line of the object lies in.",
  largest: "Only the largest piece.",
  holes: "Fill holes.",
  smooth: "Smooth the outline.",
};

export class Settings {
  constructor(app, refs) {
    this.app = app;
    this.refs = refs;
    const find = (name) => refs.page.querySelector(`#iseg-${name}`);
    this.sliders = Object.fromEntries([...SETTINGS, "opacity"].map((name) => [name, find(name)]));
    for (const [name, slider] of Object.entries(this.sliders)) {
      slider.addEventListener("input", () => this.#slide(name, Number(slider.value)));
      slider.addEventListener("change", () => app.document.seal());
      this.#explain(slider, slider.parentElement, name);
    }
    this.toggles = Object.fromEntries(CLEAN.map((name) => [name, refs.page.querySelector(`[data-clean=${name}]`)]));
    for (const [name, toggle] of Object.entries(this.toggles)) {
      toggle.addEventListener("click", () => this.#toggle(name));
      this.#explain(toggle, toggle, name);
    }
  }

  // The sentence shows in the line above the stage while the pointer or the keyboard is at a setting.
  #explain(control, place, name) {
    control.setAttribute("aria-description", HELP[name]);
    place.title = HELP[name];
    const show = () => this.app.help(HELP[name]);
    for (const event of ["pointerenter", "focusin"]) place.addEventListener(event, show);
    for (const event of ["pointerleave", "focusout"]) place.addEventListener(event, () => this.app.help(""));
  }

  #slide(name, position) {
    const { document: doc } = this.app;
    if (name === "iterations") this.app.player.stop();
    if (name === "opacity") doc.adjust((now) => (now.opacity = position));
    else doc.set(name, name === "entropy" ? entropyAt(position) : position);
  }

  #toggle(name) {
    const { document: doc } = this.app;
    const { selected } = doc;
    if (!selected) return this.app.messages.hint("First choose the object to clean up.");
    return doc.edit(selected.id, (object) => (object.clean[name] = !object.clean[name]));
  }

  draw() {
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
    this.sliders.enhancement.disabled = Boolean(selected && !selected.words);
    const idle = selected ? this.app.choices.notSpread(selected) : "";
    for (const name of ["iterations", "entropy"]) {
      this.sliders[name].disabled = Boolean(idle);
      this.sliders[name].parentElement.title = idle || HELP[name];
    }
    this.refs.whose.textContent = selected ? `of ${selected.name}` : "of the next object";
    for (const [name, toggle] of Object.entries(this.toggles)) {
      toggle.setAttribute("aria-pressed", String(Boolean(selected?.clean[name])));
    }
  }

  #show(name, value, text) {
    const slider = this.sliders[name];
    if (value !== undefined && Number(slider.value) !== value) slider.value = value;
    const output = slider.parentElement.querySelector("output");
    if (output.textContent !== text) output.textContent = text;
  }
}
