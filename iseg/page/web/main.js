// The page: brings the parts together. `start` is called by the Gradio component once its markup is there.

import { Document } from "./document.js";
import { Gallery } from "./gallery.js";
import * as keys from "./keys.js";
import { Messages } from "./messages.js";
import { heatTable } from "./paint.js";
import { Panels } from "./panels.js";
import { PANELS } from "./pictures.js";
import { Player } from "./player.js";
import * as pointer from "./pointer.js";
import { Progress } from "./progress.js";
import { Saver } from "./save.js";
import { Server } from "./server.js";
import { Sidebar } from "./sidebar.js";
import { Solver } from "./solver.js";
import { Stage } from "./stage.js";
import { Words } from "./words.js";

const HINTS = {
  point: "Click what belongs to the object; right-click or Alt+click what does not.",
  line: "Draw a line or scribble over the object; right-click what does not belong to it.",
  box: "Drag a box around an object; each box is a new object.",
  text: "",
  move: "Drag to move the view; the wheel zooms.",
};

class App {
  constructor(root, functions) {
    this.refs = {};
    root.querySelectorAll("[data-ref]").forEach((element) => (this.refs[element.dataset.ref] = element));
    this.image = null;
    this.limits = { max_iterations: 20, max_objects: 40, max_upload: 25e6 };
    this.tool = "point";
    this.panel = "overlay";
    this.peeking = false;
    this.server = new Server(functions);
    this.document = new Document();
    this.messages = new Messages(this.refs);
    this.progress = new Progress(this);
    this.solver = new Solver(this);
    this.player = new Player(this);
    this.panels = new Panels(this, this.refs.panels);
    this.sidebar = new Sidebar(this, this.refs);
    this.gallery = new Gallery(this, this.refs);
    this.saver = new Saver(this, this.refs);
    this.words = new Words(this, this.refs);
    this.stage = new Stage(this, this.refs.stage, this.refs.canvas);
    this.document.onChange(() => {
      this.solver.soon();
      this.draw();
    });
  }

  async start() {
    this.#listen();
    const hello = await this.server.ask("hello");
    const { max_iterations, max_objects, max_upload, heat, model } = hello;
    this.limits = { max_iterations, max_objects, max_upload };
    this.heatTable = heatTable(heat);
    this.setTool("point");
    this.progress.setModel(model);
    this.refs.page.dataset.state = "started";
    this.draw();
    this.progress.watch();
    await this.gallery.fill();
  }

  #listen() {
    this.refs.page.addEventListener("click", (event) => {
      const button = event.target.closest("[data-do], [data-tool]");
      if (button?.dataset.tool) this.setTool(button.dataset.tool);
      else if (button) this.act(button.dataset.do);
    });
    const { peek } = this.refs;
    peek.addEventListener("pointerdown", () => this.peek(true));
    for (const name of ["pointerup", "pointerleave", "pointercancel", "blur"])
      peek.addEventListener(name, () => this.peek(false));
    peek.addEventListener("keydown", (event) => [" ", "Enter"].includes(event.key) && this.peek(true));
    peek.addEventListener("keyup", () => this.peek(false));
    pointer.listen(this);
    keys.listen(this);
    const sheet = keys.SHEET.flatMap(([key, text]) => {
      const [term, detail] = [document.createElement("dt"), document.createElement("dd")];
      [term.textContent, detail.textContent] = [key, text];
      return [term, detail];
    });
    this.refs["key-list"].replaceChildren(...sheet);
  }

  act(name) {
    const { document: doc, stage } = this;
    const actions = {
      open: () => this.gallery.show(true),
      "close-gallery": () => this.gallery.show(false),
      browse: () => this.refs.file.click(),
      theme: () => document.body.classList.toggle("dark"),
      keys: () => this.refs.keys.showModal(),
      "hide-notice": () => (this.refs.notice.hidden = true),
      undo: () => doc.undo(),
      redo: () => doc.redo(),
      clear: () => doc.clear(),
      new: () => doc.adjust((now) => (now.selected = null)),
      play: () => this.player.toggle(),
      "zoom-in": () => stage.zoom(1.25),
      "zoom-out": () => stage.zoom(0.8),
      "zoom-fit": () => stage.fit(),
      defaults: () => this.#useDefaults(),
      "save-session": () => this.saver.saveSession(),
      "load-session": () => this.refs["session-file"].click(),
    };
    actions[name]?.();
  }

  #useDefaults() {
    const { defaults } = this.progress.model;
    if (!defaults) return;
    this.document.update((now) => {
      Object.assign(now.defaults, defaults);
      const object = now.objects.find((each) => each.id === now.selected);
      if (object) Object.assign(object, defaults);
    });
  }

  setTool(tool) {
    this.tool = tool;
    this.refs.tools.querySelectorAll("button").forEach((button) => {
      button.setAttribute("aria-checked", String(button.dataset.tool === tool));
    });
    this.refs.hint.textContent = HINTS[tool];
    this.refs.hint.hidden = tool === "text";
    this.refs.words.hidden = tool !== "text";
    this.refs.chips.hidden = tool !== "text" || !this.refs.chips.children.length;
    this.refs.canvas.dataset.tool = tool;
    if (tool === "text") this.refs.words.querySelector("input").focus();
    this.draw();
  }

  setPanel(index) {
    this.panel = PANELS[index][0];
    this.draw();
  }

  peek(isPeeking) {
    if (this.peeking === isPeeking) return;
    this.peeking = isPeeking;
    this.draw();
  }

  get isGalleryOpen() {
    return !this.refs.gallery.hidden;
  }

  get isDialogOpen() {
    return this.refs.keys.open;
  }

  // The object whose maps are shown: the selected one, else the first visible one.
  get subject() {
    return this.document.selected ?? this.document.visible[0] ?? null;
  }

  // The iteration an object is shown at: the player's while it plays.
  iterationOf(object) {
    return this.player.step ?? object.iterations;
  }

  setImage(image) {
    this.player.stop();
    this.image = image;
    this.solver.forget();
    this.document.reset();
    this.panels.setImage(image);
    this.stage.setImage(image);
    this.refs["full-size"].textContent = `${image.width} × ${image.height} pixels`;
    this.refs.page.dataset.image = image.id;
    this.progress.prepare();
  }

  // A request about the image; if the server had to forget the image, it is sent again first.
  async request(name, details = {}) {
    const { image } = this;
    try {
      return await this.server.ask(name, { image: image.id, ...details });
    } catch (error) {
      if (error.code !== "image_gone") throw error;
      await image.send();
      return this.server.ask(name, { image: image.id, ...details });
    }
  }

  // Resolves when nothing is on its way any more.
  async settled() {
    this.solver.sync();
    while (this.solver.busy) await new Promise((resolve) => setTimeout(resolve, 30));
  }

  draw() {
    this.frame ??= requestAnimationFrame(() => this.drawNow());
  }

  drawNow() {
    cancelAnimationFrame(this.frame);
    this.frame = null;
    this.stage.draw();
    this.panels.draw();
    this.sidebar.draw();
    this.progress.draw();
    const { refs, document: doc } = this;
    refs.percent.textContent = `${Math.round(this.stage.view.scale * 100)} %`;
    for (const [name, list] of [
      ["undo", doc.past],
      ["redo", doc.future],
    ]) {
      refs.page.querySelector(`[data-do=${name}]`).disabled = list.length === 0;
    }
    const play = refs.page.querySelector("[data-do=play]");
    play.textContent = this.player.step === null ? "▶" : "■";
  }
}

export async function start(root, functions) {
  const app = new App(root, functions);
  app.refs.page.app = app; // for the browser's console, and the tests
  try {
    await app.start();
  } catch (error) {
    app.messages.error(error.message);
  }
}
