// Opening images: examples, a file, a drop, a paste, what was worked on before.

import { toBase64 } from "./server.js";

const SHOWN = 8; // of what was worked on before

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
      ...examples.map(({ name, picture }) => tile(name, picture, () => this.openExample(name), { example: name })),
    );
  }

  async show(isOpen) {
    this.refs.gallery.hidden = !isOpen;
    this.refs.page.dataset.empty = String(!this.app.image);
    this.refs.gallery.querySelector(".close").hidden = !this.app.image;
    if (!isOpen) return;
    const recent = (await this.app.keeper.recent().catch(() => [])).filter(({ folderName }) => !folderName).slice(0, SHOWN);
    this.refs["recent-title"].hidden = !recent.length;
    this.refs.recent.replaceChildren(
      ...recent.map((record) => {
        const caption = `${record.name} (${record.count} object${record.count > 1 ? "s" : ""})`;
        return tile(caption, record.picture, () => this.reopen(record), { recent: record.name });
      }),
    );
  }

  async openFile(file) {
    const { max_upload: most } = this.app.limits;
    if (file.size > most) {
      this.app.messages.error(
        `${file.name} has ${(file.size / 1e6).toFixed(1)} MB: expected at most ${most / 1e6} MB.`,
      );
      return;
    }
    await this.open({ kind: "file", name: file.name || "pasted" }, file);
  }

  openExample(name) {
    return this.open({ kind: "example", name });
  }

  openFromFolder(name) {
    return this.open({ kind: "folder", name });
  }

  // Ask the server for an image of a source, or bring it there.
  async fetch({ kind, name }, blob, isWanted) {
    if (kind === "example") return this.app.server.ask("example", { name }, isWanted);
    if (kind === "folder") return this.app.server.ask("folder_open", { name }, isWanted);
    if (!blob) throw new Error(`${name} is no longer in this browser: open the file again.`);
    return this.app.server.ask("upload", { name, data: await toBase64(blob) }, isWanted);
  }

  // Show an image; the last one asked for wins.
  async open(source, blob = null) {
    const turn = ++this.opening;
    const isWanted = () => turn === this.opening;
    this.app.progress.setBusy("Opening the image…");
    try {
      const answer = await this.fetch(source, blob, isWanted);
      if (isWanted()) await this.#show(this.#imageOf(answer, source, blob), answer, isWanted);
    } catch (error) {
      if (error.code !== "superseded") this.app.messages.error(error.message);
    } finally {
      if (isWanted()) this.app.progress.setBusy("");
    }
  }

  // Show an image that this browser kept; the server is asked for it when it is needed.
  async reopen(record) {
    if (record.folderName) return this.openFromFolder(record.folderName);
    const turn = ++this.opening;
    const image = { ...record, id: record.imageId, key: record.id };
    try {
      await this.#show(this.#alive(image, record.source, record.blob), null, () => turn === this.opening);
    } catch (error) {
      this.app.messages.error(`${record.name} could not be opened again: ${error.message}`);
      if (turn === this.opening && !this.app.image) await this.show(true);
    }
    return undefined;
  }

  // What was open last, else the folder's first image, else what there is to open.
  async reopenLast() {
    const { keeper, folder } = this.app;
    const last = await keeper.last();
    const isHere = last && (last.folderName ? folder.images.some(({ name }) => name === last.folderName) : true);
    const isOfFolder = last?.id.startsWith(`folder ${folder.name}/`);
    if (last && isHere && (isOfFolder || !folder.name)) await this.reopen(last);
    else if (folder.images.length) await this.openFromFolder(folder.images[0].name);
    else await this.show(true);
  }

  #imageOf(answer, source, blob) {
    const { image: id, name, width, height, view_width: viewWidth, view_height: viewHeight, picture } = answer;
    const isFolder = source.kind === "folder";
    const key = isFolder ? `folder ${this.app.folder.name}/${name}` : id;
    const image = { id, key, name, width, height, viewWidth, viewHeight, picture, source };
    const revision = answer.session?.revision ?? 0;
    return this.#alive({ ...image, folderName: isFolder ? name : null, revision }, source, blob);
  }

  #alive(image, source, blob) {
    const send = () => this.fetch(source, blob, () => this.app.image?.id === image.id);
    return { ...image, blob, send, prepared: false, preparing: false, trouble: "" };
  }

  async #show(image, answer, isWanted) {
    image.bitmap = Object.assign(new Image(), { src: image.picture });
    await Promise.all([image.bitmap.decode(), this.app.keeper.flush()]);
    const kept = await this.app.keeper.workOn(image);
    if (!isWanted()) return;
    this.app.setImage(image, kept, answer?.session ?? null);
    this.show(false);
    await this.app.keeper.remember(image, image.blob);
  }
}

function tile(caption, picture, open, data) {
  const button = document.createElement("button");
  Object.assign(button, { type: "button", className: "example" });
  Object.assign(button.dataset, data);
  const text = document.createElement("span");
  text.textContent = caption;
  button.append(Object.assign(new Image(), { src: picture, alt: "" }), text);
  button.addEventListener("click", open);
  return button;
}
