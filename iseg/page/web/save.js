// Saving: exports are made by the server at the image's own size; the session (the work itself) is made here.

import { toRequest } from "./objects.js";
import { adoptSession, parseSession, sessionOf } from "./session.js";

export class Saver {
  constructor(app, refs) {
    this.app = app;
    this.refs = refs;
    refs.page.querySelectorAll("[data-save]").forEach((button) => {
      button.addEventListener("click", () => this.#guard(() => this.exportAs(button.dataset.save)));
    });
    refs["session-file"].addEventListener("change", async (event) => {
      const [file] = event.target.files;
      if (file) await this.#guard(async () => this.loadSession(await file.text()));
      event.target.value = "";
    });
  }

  async #guard(work) {
    try {
      await work();
    } catch (error) {
      if (error.code === "superseded") this.app.messages.hint("Nothing was saved.");
      else this.app.messages.error(error.message);
    }
  }

  // Ask the server for a file while the page says so and offers to stop; then fetch it.
  async #make(work) {
    let isWanted = true;
    this.app.progress.setBusy("Saving…", () => {
      isWanted = false;
      this.app.server.ask("cancel").catch(() => {});
    });
    try {
      const answer = await work(() => isWanted);
      if (!isWanted) return;
      fetchFile(answer);
      this.app.messages.done(`Saved ${answer.name}`);
      if (answer.empty.length)
        this.app.messages.hint(`Not in the file, since the mask is empty: ${shorten(answer.empty)}.`);
    } finally {
      this.app.progress.setBusy("");
    }
  }

  async exportAs(kind) {
    const { document: doc, image } = this.app;
    if (!image || !doc.visible.length) throw new Error("There is nothing to save yet: mark an object first.");
    this.app.player.stop();
    await this.#make(async (isWanted) => {
      await this.app.settled(isWanted); // what is shown now, not what it was before the last change
      const details = { kind, objects: doc.visible.map(toRequest), opacity: doc.now.opacity };
      return this.app.request("export", details, image, isWanted);
    });
  }

  // All images of the folder as one data set.
  async exportFolder(kind) {
    await this.#guard(async () => {
      await this.app.keeper.flush();
      await this.app.folder.idle();
      await this.#make((isWanted) => this.app.server.ask("folder_export", { kind }, isWanted));
    });
  }

  saveSession() {
    const { image, document: doc } = this.app;
    if (!image) return this.app.messages.hint("There is nothing to save yet: open an image first.");
    const stem = image.name.replace(/^.*\//, "").replace(/\.[^.]*$/, "") || "image";
    const text = JSON.stringify(sessionOf(image, doc.now), null, 1);
    const url = URL.createObjectURL(new Blob([text], { type: "application/json" }));
    follow(url, `${stem}_session.json`);
    setTimeout(() => URL.revokeObjectURL(url), 30_000);
    return undefined;
  }

  loadSession(text) {
    const { image, document: doc, limits } = this.app;
    const session = parseSession(text, limits);
    const { name, width, height, id } = session.image;
    if (!image) throw new Error(`Open the image first: ${name} (${width} × ${height}).`);
    if (image.width !== width || image.height !== height) {
      throw new Error(
        `This session was made on ${name} (${width} × ${height}); the open image has ${image.width} × ${image.height}.`,
      );
    }
    if (image.id !== id) this.app.messages.hint(`This session was made on another image: ${name}.`);
    doc.update((now) => adoptSession(now, session));
  }
}

function shorten(names) {
  return names.length > 6 ? `${names.slice(0, 6).join(", ")} and ${names.length - 6} more` : names.join(", ");
}

function fetchFile({ key, name }) {
  follow(new URL(`saved/${key}`, document.baseURI).href, name);
}

function follow(href, download) {
  const link = Object.assign(document.createElement("a"), { href, download });
  link.click();
}
