// Saving: exports come from the server at the image's own size; the session (marks and settings) from here.

import { SETTINGS } from "./document.js";

const FORMAT = "iseg-session";
const COLOUR = /^#[0-9a-f]{6}$/i;

export class Saver {
  constructor(app, refs) {
    this.app = app;
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
      this.app.messages.error(error.message);
    }
  }

  async exportAs(kind) {
    const { document: doc } = this.app;
    if (!this.app.image || !doc.visible.length) throw new Error("There is nothing to save yet: mark an object first.");
    this.app.player.stop();
    this.app.progress.setBusy("Saving…");
    try {
      await this.app.settled(); // what is shown now, not what it was before the last change
      const objects = doc.visible.map(({ id, hidden, ...rest }) => rest);
      const answer = await this.app.request("export", { kind, objects, opacity: doc.now.opacity });
      const bytes = Uint8Array.from(atob(answer.data), (letter) => letter.charCodeAt(0));
      download(new Blob([bytes], { type: answer.type }), answer.name);
      this.app.messages.done(`Saved ${answer.name}`);
    } finally {
      this.app.progress.setBusy("");
    }
  }

  saveSession() {
    const { image, document: doc } = this.app;
    if (!image) return this.app.messages.hint("There is nothing to save yet: open an image first.");
    const { id, name, width, height } = image;
    const session = {
      format: FORMAT,
      version: 1,
      image: { id, name, width, height },
      opacity: doc.now.opacity,
      objects: doc.now.objects,
    };
    const stem = name.replace(/\.[^.]*$/, "") || "image";
    download(new Blob([JSON.stringify(session, null, 1)], { type: "application/json" }), `${stem}_session.json`);
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
    doc.update((now) => {
      now.objects = session.objects.map((object) => ({ ...object, id: now.next++ }));
      now.selected = now.objects[0]?.id ?? null;
      now.opacity = session.opacity;
    });
  }
}

// A session as a checked object. Throws what is wrong in words.
export function parseSession(text, limits) {
  let value;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Error("The session is not JSON: expected a file saved with “Session”.");
  }
  if (value?.format !== FORMAT || value.version !== 1)
    throw new Error("The file is not a session: expected one saved with “Session”.");
  const { image, objects } = value;
  if (!image || typeof image.name !== "string" || !Number.isInteger(image.width) || !Number.isInteger(image.height)) {
    throw new Error("The session does not say which image it is of.");
  }
  if (!Array.isArray(objects) || objects.length > limits.max_objects) {
    throw new Error(`The session holds no list of at most ${limits.max_objects} objects.`);
  }
  return {
    image,
    opacity: within(value.opacity, "opacity", 0, 1),
    objects: objects.map((each) => parseObject(each, limits)),
  };
}

function parseObject(value, limits) {
  const { name, colour, marks, words } = value ?? {};
  if (typeof name !== "string" || !COLOUR.test(colour))
    throw new Error("An object of the session has no name or colour.");
  const object = { name: name.slice(0, 60), colour, hidden: value.hidden === true };
  const most = { iterations: limits.max_iterations, threshold: 1, entropy: 1, enhancement: 10 };
  for (const setting of SETTINGS)
    object[setting] = within(value[setting], `${setting} of ${object.name}`, 0, most[setting]);
  if (words) {
    const { phrases, index } = words;
    const isGood =
      Array.isArray(phrases) && phrases.every((phrase) => typeof phrase === "string") && phrases[index] !== undefined;
    if (!isGood) throw new Error(`The words of ${object.name} cannot be read.`);
    return { ...object, words: { phrases, index } };
  }
  const tuples = (list, length) =>
    Array.isArray(list) &&
    list.every((each) => Array.isArray(each) && each.length === length && each.every(Number.isFinite));
  const isGood =
    marks &&
    tuples(marks.points, 2) &&
    tuples(marks.negative, 2) &&
    tuples(marks.boxes, 4) &&
    Array.isArray(marks.lines) &&
    marks.lines.every((line) => line.length && tuples(line, 2));
  if (!isGood) throw new Error(`The marks of ${object.name} cannot be read.`);
  const { points, negative, lines, boxes } = marks;
  return { ...object, marks: { points, negative, lines, boxes } };
}

function within(value, name, low, high) {
  if (!Number.isFinite(value) || value < low || value > high)
    throw new Error(`The session's ${name} is ${value}: expected ${low}..${high}.`);
  return value;
}

function download(blob, name) {
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 30_000);
}
