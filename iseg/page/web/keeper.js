// Keeps the work on every image while it is made, and brings it back: in the browser always, history included; with a
// folder also in the file beside the image.

const PAUSE = 300; // ms after the last change
const KEPT_STEPS = 100; // of the history
const KEPT_IMAGES = 60;
const LAST = "iseg-last";

export class Keeper {
  constructor(app, store) {
    this.app = app;
    this.store = store;
    this.timer = null;
    this.isDirty = false; // the document holds what is not kept yet
    this.saving = Promise.resolve();
    this.pending = 0; // writes that are under way
    app.document.onChange(() => this.#soon());
    document.addEventListener("visibilitychange", () => document.hidden && this.flush());
    window.addEventListener("pagehide", () => this.flush());
    window.addEventListener("beforeunload", (event) => {
      this.flush();
      const isAtRisk = this.isDirty || this.pending > 0 || (!store.isDurable && app.document.now.objects.length > 0);
      if (isAtRisk) event.preventDefault();
    });
  }

  #soon() {
    if (!this.app.image) return;
    this.isDirty = true;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.flush(), PAUSE);
  }

  // The document is what was kept of the image: nothing of it is new.
  rest() {
    clearTimeout(this.timer);
    this.isDirty = false;
  }

  // Keep the work now; resolves when it is kept.
  flush() {
    clearTimeout(this.timer);
    const { image, document: doc } = this.app;
    if (!image || !this.isDirty) return this.saving;
    this.isDirty = false;
    const { defaults, ...now } = doc.now;
    const work = { id: image.key, saved: Date.now(), now, past: doc.past.slice(-KEPT_STEPS), future: doc.future };
    const known = [...this.app.folder.known]; // before this change: what is missing of it was deleted here
    const keep = () => this.store.put("work", { ...work, revision: image.revision ?? 0, known, isSent: !image.folderName });
    this.pending++;
    this.saving = this.saving
      .then(keep)
      .catch((error) => {
        this.isDirty = true;
        this.app.messages.error(`The work could not be kept in this browser: ${error.message}`);
      })
      .finally(() => this.pending--);
    this.app.folder.save(image, now);
    return this.saving;
  }

  // The work on an image so far; null if there is none.
  async workOn(image) {
    try {
      return (await this.store.get("work", image.key)) ?? null;
    } catch {
      return null;
    }
  }

  // The work that was kept has reached the folder as `revision`, with the objects `known`.
  async sent(image, revision, known) {
    image.revision = revision;
    await this.saving;
    const work = await this.workOn(image);
    if (work) await this.store.put("work", { ...work, revision, known, isSent: !this.isDirty });
  }

  async remember(image, bytes) {
    const { key: id, name, width, height, viewWidth, viewHeight, picture, source, folderName, revision } = image;
    const fields = { name, width, height, viewWidth, viewHeight, picture, source, folderName, revision };
    setLast(id);
    try {
      const known = await this.store.get("images", id);
      const record = { ...fields, id, imageId: image.id, opened: Date.now(), blob: bytes ?? known?.blob ?? null };
      await this.store.put("images", record);
      await this.#prune();
    } catch {
      // the image can still be worked on; the work itself says so if it cannot be kept
    }
  }

  async #prune() {
    const images = (await this.store.all("images")).sort((a, b) => b.opened - a.opened);
    for (const { id } of images.slice(KEPT_IMAGES)) {
      await this.store.remove("images", id);
      await this.store.remove("work", id);
    }
  }

  async imageOf(id) {
    return this.store.get("images", id);
  }

  // Images with work on them, the latest first.
  async recent() {
    const [images, work] = await Promise.all([this.store.all("images"), this.store.all("work")]);
    const counts = new Map(work.map(({ id, now }) => [id, now.objects.length]));
    return images
      .filter(({ id }) => counts.get(id))
      .sort((a, b) => b.opened - a.opened)
      .map((record) => ({ ...record, count: counts.get(record.id) }));
  }

  async last() {
    const id = getLast();
    return id ? ((await this.store.get("images", id).catch(() => null)) ?? null) : null;
  }
}

function setLast(id) {
  try {
    sessionStorage.setItem(LAST, id);
    localStorage.setItem(LAST, id);
  } catch {
    // no storage is allowed: the gallery is shown instead
  }
}

function getLast() {
  try {
    return sessionStorage.getItem(LAST) ?? localStorage.getItem(LAST);
  } catch {
    return null;
  }
}
