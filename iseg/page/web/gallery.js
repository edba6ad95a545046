// Opening images: examples, a file, a drop, a paste.

import { toBase64 } from "./server.js";

export class Gallery {
  constructor(app, refs) {
    this.app = app;
    this.refs = refs;
    this.opening = 0;
    refs.file.addEventListener("change", () => {
      if (refs.file.files[0]) this.openFile(refs.file.files[0]);
      refs.file.value = "";
    });
    document.addEventListener("paste", (event) => {
      const file = [...(event.clipboardData?.files ?? [])].find((each) => each.type.startsWith("image/"));
      if (file) this.openFile(file);
    });
    this.#listenToDrops(refs.page);
  }

  #listenToDrops(page) {
    let depth = 0;
    const show = (change) => {
      depth = Math.max(0, depth + change);
      this.refs.dropping.hidden = depth === 0;
    };
    page.addEventListener("dragenter", () => show(1));
    page.addEventListener("dragleave", () => show(-1));
    page.addEventListener("dragover", (event) => event.preventDefault());
    page.addEventListener("drop", (event) => {
      event.preventDefault();
      show(-depth);
      const file = event.dataTransfer?.files[0];
      if (file) this.openFile(file);
    });
  }

  async fill() {
    const { examples } = await this.app.server.ask("examples");
    this.refs.examples.replaceChildren(
      ...examples.map(({ name, picture }) => {
        const button = document.createElement("button");
        button.type = "button";
        button.className = "example";
        button.dataset.example = name;
        const image = Object.assign(new Image(), { src: picture, alt: "" });
        const caption = document.createElement("span");
        caption.textContent = name;
        button.append(image, caption);
        button.addEventListener("click", () => this.openExample(name));
        return button;
      }),
    );
  }

  show(isOpen) {
    this.refs.gallery.hidden = !isOpen;
    this.refs.gallery.querySelector(".close").hidden = !this.app.image;
  }

  async openFile(file) {
    const { max_upload: most } = this.app.limits;
    if (file.size > most) {
      this.app.messages.error(
        `${file.name} has ${(file.size / 1e6).toFixed(1)} MB: expected at most ${most / 1e6} MB.`,
      );
      return;
    }
    await this.open(async () =>
      this.app.server.ask("upload", { name: file.name || "pasted", data: await toBase64(file) }),
    );
  }

  openExample(name) {
    return this.open(() => this.app.server.ask("example", { name }));
  }

  // Show the image that `send` brings to the server; the last one asked for wins.
  async open(send) {
    const turn = ++this.opening;
    this.app.progress.setBusy("Opening the image…");
    try {
      const answer = await send();
      const bitmap = Object.assign(new Image(), { src: answer.picture });
      await bitmap.decode();
      if (turn !== this.opening) return;
      this.app.setImage({
        id: answer.image,
        name: answer.name,
        width: answer.width,
        height: answer.height,
        viewWidth: answer.view_width,
        viewHeight: answer.view_height,
        bitmap,
        send,
        prepared: false,
      });
      this.show(false);
    } catch (error) {
      this.app.messages.error(error.message);
    } finally {
      if (turn === this.opening) this.app.progress.setBusy("");
    }
  }
}
