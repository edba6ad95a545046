// What is under way: the model's state, the pass that all marks share, and the line that says so.

const POLL = 300; // ms between looks at the server's state, while there is something to wait for
const TROUBLE = 3000; // ms after a look that failed

export class Progress {
  constructor(app) {
    this.app = app;
    this.model = { state: "loading" };
    this.busyText = ""; // of what the page itself waits for
    this.stageText = ""; // what the server does
    this.isWatching = false;
  }

  setBusy(text) {
    this.busyText = text;
    this.draw();
  }

  setModel(model) {
    const { refs, document: doc } = this.app;
    const before = this.model.state;
    this.model = model;
    const { model: badge, notice } = refs;
    badge.dataset.state = model.state;
    badge.textContent =
      { loading: "loading the model…", failed: "no model" }[model.state] ?? `${model.name} on ${model.device}`;
    badge.title = model.note ?? "";
    if (before === model.state) return;
    const text = model.notice || model.error;
    notice.hidden = !text;
    notice.firstChild.textContent = text;
    if (model.state !== "ready") return;
    doc.adopt(model.defaults);
    this.app.words.offer(model.words);
    this.prepare();
  }

  // The pass that all marks share, as soon as there are a model and an image.
  async prepare() {
    const { image } = this.app;
    if (!image || image.prepared || image.preparing || this.model.state !== "ready") return;
    image.preparing = true;
    this.watch();
    try {
      await this.app.request("prepare");
      image.prepared = true;
    } catch (error) {
      if (error.code !== "superseded" && image === this.app.image) this.app.messages.error(error.message);
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
      let pause = POLL;
      try {
        const { model, stage } = await this.app.server.ask("status");
        this.stageText = stage;
        this.setModel(model);
      } catch (error) {
        pause = TROUBLE;
        this.stageText = "";
        this.app.messages.error(error.message);
      }
      this.draw();
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
    this.isWatching = false;
    this.draw();
  }

  get isWaiting() {
    const { image, solver } = this.app;
    return this.model.state === "loading" || image?.preparing || solver.busy || Boolean(this.busyText);
  }

  draw() {
    const { image, solver, messages, refs } = this.app;
    const { model } = this;
    const isWaiting = image && !image.prepared;
    let text = this.busyText;
    if (!text && isWaiting)
      text =
        model.state === "loading"
          ? "Waiting for the model…"
          : image.preparing
            ? `${this.stageText || "Waiting for the model"}…`
            : "";
    if (!text && solver.busy && image?.prepared) text = `${this.stageText || "Refining"}…`;
    messages.status(text, Boolean(text));
    refs.page.dataset.busy = String(Boolean(text) || solver.busy);
  }
}
