// Keyboard shortcuts, and the sheet that lists them.

export const SHEET = [
  ["P L B T M", "points, line, box, words, move the view"],
  ["Click, drag", "mark what belongs to the object"],
  ["Right-click, Alt+click", "mark what does not (subtracts)"],
  ["N", "the next mark starts a new object"],
  ["Delete", "remove the selected object"],
  ["Ctrl+Z, Ctrl+Shift+Z", "undo, redo"],
  ["Esc", "clear all objects (can be undone)"],
  ["[ ]", "fewer, more iterations"],
  [", .", "lower, higher threshold"],
  ["Space", "play the iterations"],
  ["H", "hide the result while held"],
  ["1 … 5", "image, seed map, refined map, mask, overlay"],
  ["Wheel, + − 0", "zoom, fit"],
  ["Middle drag, Shift+wheel", "move the view"],
  ["Arrows, Enter", "on the image: move a cross-hair, mark there (Alt+Enter subtracts)"],
  ["O, Ctrl+V", "open an image, paste one"],
];

const TOOLS = { p: "point", l: "line", b: "box", t: "text", m: "move" };

export function listen(app) {
  document.addEventListener("keydown", (event) => {
    if (app.isDialogOpen) return;
    if ((event.ctrlKey || event.metaKey) && !event.altKey) return withControl(app, event);
    if (isTyping(event.target) || event.altKey) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    if (plain(app, event)) event.preventDefault();
  });
  document.addEventListener("keyup", (event) => {
    if (event.key.toLowerCase() === "h") app.peek(false);
  });
  window.addEventListener("blur", () => app.peek(false));
}

function withControl(app, event) {
  const key = event.key.toLowerCase();
  if (isTyping(event.target) || !["z", "y"].includes(key)) return;
  event.preventDefault();
  app.act(key === "y" || event.shiftKey ? "redo" : "undo");
}

// Keys without Ctrl; returns whether the key was used.
function plain(app, event) {
  const key = event.key.toLowerCase();
  const isControl = event.target instanceof HTMLButtonElement || event.target instanceof HTMLInputElement;
  const nudge = (name, by, low, high) => {
    const value = Math.min(high, Math.max(low, app.document.setting(name) + by));
    app.document.set(name, Number(value.toFixed(4)));
    app.document.seal();
  };
  if (TOOLS[key]) app.setTool(TOOLS[key]);
  else if (key === "h") app.peek(true);
  else if (key === "escape") app.act(app.isGalleryOpen && app.image ? "close-gallery" : "clear");
  else if (key === "delete" && app.document.selected) app.document.remove(app.document.now.selected);
  else if (key === " " && !isControl) app.act("play");
  else if (key === "[" || key === "]") nudge("iterations", key === "[" ? -1 : 1, 0, app.limits.max_iterations);
  else if (key === "," || key === ".") nudge("threshold", key === "," ? -0.02 : 0.02, 0, 1);
  else if (key >= "1" && key <= "5") app.setPanel(Number(key) - 1);
  else if (key === "+" || key === "=") app.act("zoom-in");
  else if (key === "-") app.act("zoom-out");
  else if (key === "0") app.act("zoom-fit");
  else if (key === "n") app.act("new");
  else if (key === "o") app.act("open");
  else if (key === "?") app.act("keys");
  else return false;
  return true;
}

function isTyping(target) {
  return target instanceof HTMLInputElement && !["range", "radio", "checkbox", "color"].includes(target.type);
}
