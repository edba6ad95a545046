// The page: brings the parts together. `start` is called by the Gradio component once its markup is there.

import { actionsOf } from "./actions.js";
import { Choices } from "./choices.js";
import { Document } from "./document.js";
import { Everything } from "./everything.js";
import { Folder } from "./folder.js";
import { Gallery } from "./gallery.js";
import { Keeper } from "./keeper.js";
import { listen } from "./listening.js";
import { Messages } from "./messages.js";
import { ObjectList } from "./objectlist.js";
import { heatTable } from "./paint.js";
import { Panels } from "./panels.js";
import { PANELS } from "./pictures.js";
import { Player } from "./player.js";
import { Preview } from "./preview.js";
import { Progress } from "./progress.js";
import * as requests from "./requests.js";
import { Saver } from "./save.js";
import { Server } from "./server.js";
import { Settings } from "./settings.js";
import { Solver } from "./solver.js";
import { Stage } from "./stage.js";
import { Store } from "./store.js";
import { Theme } from "./theme.js";
import * as tools from "./tools.js";
import { Weights } from "./weights.js";
import { Words } from "./words.js";

class App {
  constructor(root, functions) {
    this.refs = {};
    root.querySelectorAll("[data-ref]").forEach((element) => (this.refs[element.dataset.ref] = element));
    this.image = null;
    this.limits = { max_iterations: 20, max_objects: 200, max_upload: 25e6 };
    this.tool = "point";
    this.panel = "overlay";
    this.peeking = false;
    this.picked = null; // the mark of the selected object that Delete removes
    this.brushRadius = 10; // pixels of the image
    this.modes = {}; // tools that have a file of their own, by name: see pointer.js
    this.isSubtracting = this.isSpaceHeld = this.isSpaceUsed = false;
    this.theme = new Theme();
    this.actions = actionsOf(this);
    this.server = new Server(functions);
    this.document = new Document();
    this.messages = new Messages(this.refs);
    this.keeper = new Keeper(this, new Store());
    this.folder = new Folder(this, this.refs);
    this.progress = new Progress(this);
    this.solver = new Solver(this);
    this.player = new Player(this);
    this.panels = new Panels(this, this.refs.panels);
    this.objectList = new ObjectList(this, this.refs);
    this.settings = new Settings(this, this.refs);
    this.choices = new Choices(this, this.refs.choices);
    this.gallery = new Gallery(this, this.refs);
    this.saver = new Saver(this, this.refs);
    this.words = new Words(this, this.refs);
    this.modes.everything = new Everything(this, this.refs);
    this.weights = new Weights(this, this.refs);
    this.preview = new Preview(this);
    this.stage = new Stage(this, this.refs.stage, this.refs.canvas);
    this.document.onChange(() => {
      this.solver.soon();
      this.draw();
    });
  }

  // Show what was open last, else what there is to open.
  async start() {
    listen(this);
    const hello = await this.server.ask("hello");
    const { max_iterations, max_objects, max_upload, heat, model, folder, classes } = hello;
    this.limits = { max_iterations, max_objects, max_upload };
    this.document.limit = max_objects;
    this.heatTable = heatTable(heat);
    this.objectList.offer(classes);
    await this.folder.start(folder);
    this.setTool("point");
    this.progress.setModel(model);
    await this.gallery.reopenLast();
    this.refs.page.dataset.state = "started";
    this.draw();
    this.progress.watch();
    await this.gallery.fill();
  }

  act(name) {
    this.actions[name]?.();
  }

  setSubtracting(isSubtracting) {
    tools.setSubtracting(this, isSubtracting);
  }

  setBrush(radius) {
    tools.setBrush(this, radius);
  }

  help(text) {
    tools.help(this, text);
  }

  setTool(tool) {
    tools.choose(this, tool);
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
    return this.refs.keys.open || this.refs.weights.open;
  }

  // The object whose maps are shown: the selected one, else the first visible one.
  get subject() {
    return this.document.selected ?? this.document.visible[0] ?? null;
  }

  // The iteration an object is shown at: the player's while it plays.
  iterationOf(object) {
    return this.player.step ?? object.iterations;
  }

  // Show an image with the work that was kept of it here (`kept`), or in the folder's file (`session`).
  setImage(image, kept, session) {
    this.player.stop();
    this.image = image;
    this.picked = null;
    this.solver.forget();
    this.document.reset(kept);
    this.panels.setImage(image);
    this.stage.setImage(image);
    this.modes.everything.forget();
    this.keeper.rest();
    if (image.folderName) this.folder.reconcile(image, kept, session);
    this.setBrush(Math.max(2, Math.min(image.width, image.height) / 30));
    this.refs["full-size"].textContent = `${image.width} × ${image.height} pixels`;
    this.refs.page.dataset.image = image.id;
    if (kept?.now.objects.length) this.messages.hint("Your work on this image is back.");
    this.progress.prepare();
  }

  // Whether an object's mask is known to hold no pixel.
  isEmpty(object) {
    return this.stage.pictures.isEmpty(object);
  }

  request(name, details = {}, image = this.image, isWanted = () => true) {
    return requests.aboutImage(this, name, details, image, isWanted);
  }

  settled(isWanted = () => true) {
    return requests.settled(this, isWanted);
  }

  draw() {
    this.frame ??= requestAnimationFrame(() => this.drawNow());
  }

  drawNow() {
    cancelAnimationFrame(this.frame);
    this.frame = null;
    this.stage.draw();
    this.panels.draw();
    this.objectList.draw();
    this.settings.draw();
    this.choices.draw();
    this.folder.draw();
    this.progress.draw();
    this.weights.draw();
    tools.draw(this);
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
