// The folder that is worked through: its list, the way from image to image, and the files that hold the work.

import { copy } from "./objects.js";
import { adoptSession, parseSession, sessionOf } from "./session.js";

export class Folder {
  constructor(app, refs) {
    this.app = app;
    this.refs = refs;
    this.name = "";
    this.images = [];
    this.known = new Set(); // `uid`s of the objects that the open image's file held when it was last seen from here
    this.queue = Promise.resolve(); // writes, one after the other
    this.isSweeping = false;
    this.shown = ""; // what the list shows
    refs["folder-words"].addEventListener("submit", (event) => {
      event.preventDefault();
      this.#sweep(refs["folder-words"].querySelector("input").value);
    });
    refs.page.querySelectorAll("[data-save-all]").forEach((button) => {
      button.addEventListener("click", () => app.saver.exportFolder(button.dataset.saveAll));
    });
    refs["folder-done"].addEventListener("change", (event) => {
      const isDone = event.target.checked;
      app.document.update((now) => (now.done = isDone));
    });
  }

  async start(name) {
    this.name = name;
    this.refs.page.dataset.folder = String(Boolean(name));
    this.refs.folder.hidden = !name;
    if (!name) return;
    this.refs["folder-name"].textContent = name;
    await this.refresh();
  }

  async refresh() {
    const { images, sweep } = await this.app.server.ask("folder_list");
    this.images = images;
    this.swept(sweep);
    this.draw();
  }

  get index() {
    return this.images.findIndex(({ name }) => name === this.app.image?.folderName);
  }

  step(by) {
    if (!this.images.length) return;
    const next = Math.min(this.images.length - 1, Math.max(0, this.index + by));
    if (next !== this.index) this.app.gallery.openFromFolder(this.images[next].name);
  }

  // What the image's file holds becomes the document, unless this browser has work that has not reached it yet.
  reconcile(image, kept, given) {
    const { document: doc, limits } = this.app;
    let session = null;
    try {
      session = given ? parseSession(given, limits) : null;
    } catch (error) {
      this.app.messages.error(error.message);
    }
    image.revision = given?.revision ?? 0;
    this.known = new Set(kept?.known ?? doc.now.objects.map(({ uid }) => uid));
    const isNewer = session && (!kept || kept.revision !== image.revision);
    if (isNewer && (!kept || kept.isSent)) doc.adjust((now) => adoptSession(now, session));
    else if (isNewer) this.#merge(session);
    this.known = uidsOf(session);
    if (kept && !kept.isSent) this.save(image, doc.now);
  }

  // What happened to the image's file elsewhere happens here too: objects that came join, objects that went go. What
  // both sides have stays as it is here, and what was deleted here does not come back.
  #merge(session) {
    const { document: doc } = this.app;
    const [theirs, mine] = [uidsOf(session), uidsOf(doc.now)];
    const fresh = session.objects.filter(({ uid }) => !this.known.has(uid) && !mine.has(uid));
    const { known } = this;
    const isGone = ({ uid }) => known.has(uid) && !theirs.has(uid);
    this.known = theirs;
    if (!fresh.length && !doc.now.objects.some(isGone)) return;
    doc.update((now) => {
      now.objects = now.objects.filter((object) => !isGone(object));
      for (const object of fresh) now.objects.push({ ...copy(object), id: now.next++ });
      if (!now.objects.some(({ id }) => id === now.selected)) now.selected = null;
    });
  }

  // Write the work on an image into its file; a file that changed meanwhile is read and merged first.
  save(image, now) {
    if (!image.folderName) return;
    const write = () => this.#write(image, now);
    this.queue = this.queue.then(write).catch((error) => this.app.messages.error(error.message));
  }

  idle() {
    return this.queue;
  }

  async #write(image, now) {
    const session = sessionOf(image, now);
    const { server, keeper, document: doc } = this.app;
    try {
      const { revision } = await server.ask("folder_save", {
        name: image.folderName,
        session,
        revision: image.revision,
      });
      if (image === this.app.image) this.known = uidsOf(session);
      await keeper.sent(image, revision, [...uidsOf(session)]);
      const entry = this.images.find(({ name }) => name === image.folderName);
      if (entry) Object.assign(entry, { objects: session.objects.length, done: session.done });
      this.draw();
    } catch (error) {
      if (error.code !== "changed" || image !== this.app.image) throw error;
      const answer = await server.ask("folder_open", { name: image.folderName });
      image.revision = answer.session.revision;
      this.#merge(parseSession(answer.session, this.app.limits));
      await this.#write(image, doc.now);
    }
  }

  async #sweep(text) {
    const { words, server, messages, progress } = this.app;
    const phrases = words.ready(text);
    if (!phrases) return;
    try {
      this.swept((await server.ask("folder_words", { phrases })).sweep);
      progress.watch();
    } catch (error) {
      messages.error(error.message);
    }
  }

  async stop() {
    await this.app.server.ask("folder_words", { stop: true });
  }

  // How far the search for words in all images is.
  async swept(sweep) {
    if (!this.name || !sweep) return;
    const ended = this.isSweeping && !sweep.running;
    this.isSweeping = sweep.running;
    const text = sweep.running ? `Looking for ${sweep.text}: ${sweep.done} of ${sweep.all}` : "";
    this.refs["sweep-text"].textContent = text;
    this.refs.sweep.hidden = !sweep.running;
    if (!ended) return;
    try {
      await this.#sweepEnded(sweep);
    } catch (error) {
      this.app.messages.error(error.message);
    }
  }

  async #sweepEnded(sweep) {
    const { messages, image } = this.app;
    if (sweep.errors.length) messages.error(`${sweep.errors.length} images failed: ${sweep.errors[0]}`);
    else messages.done(`Looked for ${sweep.text} in ${sweep.done} images.`);
    await this.refresh();
    if (!image?.folderName || image !== this.app.image) return;
    const { session } = await this.app.server.ask("folder_open", { name: image.folderName });
    if (!session || session.revision === image.revision || image !== this.app.image) return;
    image.revision = session.revision;
    this.#merge(parseSession(session, this.app.limits));
  }

  draw() {
    if (!this.name) return;
    const { refs, app } = this;
    const done = this.images.filter((each) => each.done).length;
    refs["folder-count"].textContent = `${this.index + 1 || "–"} of ${this.images.length}, ${done} done`;
    refs["folder-done"].checked = Boolean(app.document.now.done);
    refs["folder-done"].disabled = !app.image?.folderName;
    const shown = JSON.stringify([this.images, app.image?.folderName]);
    if (shown === this.shown) return;
    this.shown = shown;
    refs["folder-list"].replaceChildren(...this.images.map((each) => this.#row(each)));
    refs["folder-list"].querySelector("[aria-current]")?.scrollIntoView({ block: "nearest" });
  }

  #row({ name, objects, done, error }) {
    const row = document.createElement("li");
    const button = document.createElement("button");
    Object.assign(button, { type: "button", className: "plain", title: error || name });
    button.dataset.image = name;
    button.dataset.status = error ? "failed" : done ? "done" : objects ? "begun" : "new";
    const state = { failed: "unreadable", done: "✓ done", begun: `${objects}`, new: "" }[button.dataset.status];
    const [title, count] = [document.createElement("span"), document.createElement("span")];
    [title.textContent, count.textContent] = [name, state];
    button.append(title, count);
    if (name === this.app.image?.folderName) button.setAttribute("aria-current", "true");
    button.addEventListener("click", () => this.app.gallery.openFromFolder(name));
    row.append(button);
    return row;
  }
}

const uidsOf = (work) => new Set(work?.objects.map(({ uid }) => uid) ?? []);
