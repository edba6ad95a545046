// What is under way: the connection, the model's state, the pass that all marks share, and the line that says so.

import { Edges } from "./edges.js";

const POLL = 300; // ms between looks at the server's state, while there is something to wait for
const IDLE = 5000; // ms between looks while there is not: a server that is gone is noticed
const AGAIN = 1000; // ms until a pass that failed is asked for again; each further time twice as long
const LONGEST = 30_000;

export class Progress {
  constructor(app) {
    this.app = app;
    this.model = { state: "loading" };
    this.sweep = { running: false };
    this.busyText = ""; // of what the page itself waits for
    this.cancel = null; // ends what the page waits for, if that can be ended
    this.stageText = ""; // what the server does
    this.isWatching = false;
    app.server.onConnection((isOnline) => this.#connection(isOnline));
    setInterval(() => this.isWatching || this.#look(), IDLE);
  }

  setBusy(text, cancel = null) {
    this.busyText = text;
    this.cancel = text ? cancel : null;
    if (text) this.watch();
    this.draw();
  }

  #connection(isOnline) {
    this.draw();
    if (isOnline) this.watch();
  }

  setModel(model) {
    const { refs, document: doc } = this.app;
    const before = this.model;
    this.model = model;
    refs.model.title = model.note ?? "";
    if (before.state === model.state && before.name === model.name) return;
    const text = model.notice || model.error;
    refs.notice.hidden = !text;
    refs.notice.firstChild.textContent = text;
    refs.limits.hidden = !model.limits;
    refs["limits-text"].textContent = model.limits;
    if (model.state !== "ready") return;
    doc.adopt(model.defaults);
    this.app.choices.offer(model.choices);
    this.app.words.offer(model.words);
    if (before.name && this.app.image) this.app.image.prepared = false; // another model reads the image anew
    this.prepare();
  }

  // The pass that all marks share, as soon as there are a model and an image. One that fails is asked for again.
  async prepare() {
    const { image } = this.app;
    if (!image || image.prepared || image.preparing || this.model.state !== "ready") return;
    image.preparing = true;
    for (let pause = AGAIN; image === this.app.image && !image.prepared; pause = Math.min(LONGEST, 2 * pause)) {
      this.watch();
      try {
        image.edges = new Edges((await this.app.request("prepare", {}, image)).edges);
        image.prepared = true;
        image.trouble = "";
      } catch (error) {
        if (error.code === "superseded") break;
        image.trouble = error.message;
        if (pause === AGAIN) this.app.messages.error(error.message);
        this.draw();
        await new Promise((resolve) => setTimeout(resolve, pause));
      }
    }
    image.preparing = false;
    this.app.solver.soon();
    this.app.draw();
  }

  // Follow the server's state while there is something to wait for.
  async watch() {
    if (this.isWatching) return;
    this.isWatching = true;
    while (this.isWaiting) {
      await this.#look();
      this.draw();
      await new Promise((resolve) => setTimeout(resolve, POLL));
    }
    this.isWatching = false;
    this.draw();
  }

  async #look() {
    try {
      const { model, stage, sweep, weights } = await this.app.server.ask("status");
      this.stageText = stage;
      this.app.weights.follow(weights);
      this.setModel(model);
      await this.app.folder.swept(sweep);
    } catch (error) {
      this.stageText = "";
      this.app.messages.error(error.message);
    }
  }

  get isWaiting() {
    const { image, solver, folder, weights } = this.app;
    const isReading = image?.preparing && !image.trouble;
    return this.model.state === "loading" || isReading || solver.busy || Boolean(this.busyText) || folder.isSweeping || weights.state.running;
  }

  draw() {
    const { image, solver, messages, refs, server } = this.app;
    const text = server.isOnline ? this.#text() : "The server does not answer; trying again. Your work is kept.";
    messages.status(text, Boolean(text));
    refs.cancel.hidden = !this.cancel;
    refs.page.dataset.busy = String(Boolean(text) || solver.busy);
    this.#drawBadge();
    refs.page.dataset.trouble = String(Boolean(image?.trouble));
  }

  #text() {
    const { image, solver } = this.app;
    if (this.busyText) return this.stageText && this.cancel ? `${this.stageText}…` : this.busyText;
    if (image && !image.prepared) {
      if (image.trouble) return `Reading the image failed (${image.trouble}); trying again.`;
      if (this.model.state === "loading") return "Waiting for the model…";
      return image.preparing ? `${this.stageText || "Waiting for the model"}…` : "";
    }
    return solver.busy && image ? `${this.stageText || "Refining"}…` : "";
  }

  #drawBadge() {
    const { model: badge } = this.app.refs;
    const { model } = this;
    const { isOnline } = this.app.server;
    badge.dataset.state = isOnline ? model.state : "offline";
    const ready = `${model.name} on ${model.device}`;
    const text = { loading: "loading the model…", failed: "no model" }[model.state] ?? ready;
    badge.textContent = isOnline ? text : "offline";
  }
}
