// Keyboard shortcuts, and the sheet that lists them.

export const SHEET = [
  ["P L B T G R E V", "points, line, box, words, regions, brush, eraser, select"],
  ["Click, drag", "mark what belongs to the object"],
  ["Right-click, Alt+click", "mark what does not (subtracts); with the brush: erase"],
  ["X", "subtract instead, until pressed again"],
  ["W", "preview: show what a click would give while the pointer rests"],
  ["Drag a mark, right-click it", "move it, delete it (lines and boxes: with Select)"],
  ["Select: click a mask", "select its object; Delete removes the chosen mark, else the object"],
  ["Shift+drag a box", "add the box to the selected object"],
  ["Regions: click, Shift+click", "a region becomes an object, joins the selected one or leaves it"],
  ["N", "the next mark starts a new object"],
  ["Ctrl+Z, Ctrl+Shift+Z", "undo, redo"],
  ["Esc", "end a drag; choose nothing"],
  ["[ ]", "fewer, more iterations; with the brush: smaller, larger"],
  [", .", "lower, higher threshold"],
  ["Space", "play the iterations"],
  ["H", "hide the result while held"],
  ["1 … 5", "image, seed map, refined map, mask, overlay"],
  ["Wheel, + − 0 Z", "zoom, fit, zoom to the selected object"],
  ["Space+drag, middle drag", "move the view; so do Shift+wheel and two fingers"],
  ["Arrows, Enter", "on the image: move a cross-hair, mark there (Alt+Enter subtracts)"],
  ["O, Ctrl+V", "open an image, paste one"],
  ["Page Up, Page Down", "previous, next image of the folder"],
];

const TOOLS = { p: "point", l: "line", b: "box", t: "text", g: "everything", r: "brush", e: "eraser", v: "select", m: "select" };

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
    if (event.key === " " && app.isSpaceHeld) {
      if (!app.isSpaceUsed) app.act("play"); // a space that moved nothing
      app.isSpaceHeld = false;
    }
  });
  window.addEventListener("blur", () => {
    app.peek(false);
    app.isSpaceHeld = false;
  });
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
  const isBrush = ["brush", "eraser"].includes(app.tool);
  if (TOOLS[key]) app.setTool(TOOLS[key]);
  else if (key === "h") app.peek(true);
  else if (key === "escape") app.act("escape");
  else if (key === "delete" && app.document.selected) app.act("delete");
  else if (key === " " && !isControl) holdSpace(app, event);
  else if ((key === "[" || key === "]") && isBrush) app.setBrush(app.brushRadius * (key === "[" ? 0.8 : 1.25));
  else if (key === "[" || key === "]") nudge("iterations", key === "[" ? -1 : 1, 0, app.limits.max_iterations);
  else if (key === "," || key === ".") nudge("threshold", key === "," ? -0.02 : 0.02, 0, 1);
  else if (key >= "1" && key <= "5") app.setPanel(Number(key) - 1);
  else if (key === "+" || key === "=") app.act("zoom-in");
  else if (key === "-") app.act("zoom-out");
  else if (key === "0") app.act("zoom-fit");
  else if (key === "z") app.act("zoom-object");
  else if (key === "x") app.act("subtract");
  else if (key === "w") app.act("preview");
  else if (key === "pageup") app.folder.step(-1);
  else if (key === "pagedown") app.folder.step(1);
  else if (key === "n") app.act("new");
  else if (key === "o") app.act("open");
  else if (key === "?") app.act("keys");
  else return false;
  return true;
}

function holdSpace(app, event) {
  if (event.repeat) return;
  app.isSpaceHeld = true;
  app.isSpaceUsed = false;
}

function isTyping(target) {
  return target instanceof HTMLInputElement && !["range", "radio", "checkbox", "color"].includes(target.type);
}
