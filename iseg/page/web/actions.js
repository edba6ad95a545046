// What the page's buttons and keys do, by name.

import { removeMark } from "./marking.js";

export function actionsOf(app) {
  // the document comes and goes with the image: it is looked up when a button is pressed
  return {
    open: () => app.gallery.show(true),
    "close-gallery": () => app.gallery.show(false),
    browse: () => app.refs.file.click(),
    theme: () => app.theme.toggle(),
    cancel: () => app.progress.cancel?.(),
    escape: () => escape(app),
    "get-weights": () => app.weights.offer(),
    "stop-weights": () => app.weights.stop(),
    preview: () => app.preview.toggle(),
    subtract: () => app.setSubtracting(!app.isSubtracting),
    delete: () => (app.picked ? removeMark(app, app.picked) : app.document.remove(app.document.now.selected)),
    previous: () => app.folder.step(-1),
    next: () => app.folder.step(1),
    "stop-sweep": () => app.folder.stop(),
    "zoom-object": () => app.image && app.stage.zoomToObject(),
    keys: () => app.refs.keys.showModal(),
    "hide-notice": () => (app.refs.notice.hidden = true),
    undo: () => app.document.undo(),
    redo: () => app.document.redo(),
    clear: () => app.document.clear(),
    new: () => app.document.adjust((now) => (now.selected = null)),
    play: () => app.player.toggle(),
    "zoom-in": () => app.stage.zoom(1.25),
    "zoom-out": () => app.stage.zoom(0.8),
    "zoom-fit": () => app.stage.fit(),
    defaults: () => useDefaults(app),
    "save-session": () => app.saver.saveSession(),
    "load-session": () => app.refs["session-file"].click(),
  };
}

// End a drag, else close the gallery, else choose nothing. Nothing is deleted.
function escape(app) {
  if (app.cancelDrag()) return;
  if (app.isGalleryOpen && app.image) return app.gallery.show(false);
  app.picked = null;
  app.document.adjust((now) => (now.selected = null));
  return undefined;
}

function useDefaults(app) {
  const { defaults } = app.progress.model;
  const { selected } = app.document.now;
  if (!defaults) return;
  app.document.adjust((now) => Object.assign(now.defaults, defaults));
  if (selected !== null) app.document.edit(selected, (object) => Object.assign(object, defaults));
}
