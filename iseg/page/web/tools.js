// The tools of the stage: which one is chosen, how large the brush is, and the line above the stage.

export const BRUSHES = ["brush", "eraser"];

const HINTS = {
  point: "Click what belongs to the object; right-click or Alt+click what does not.",
  line: "Draw a line or scribble over the object; right-click what does not belong to it.",
  box: "Drag a box around an object; each is a new object, with Shift part of the selected one.",
  text: "",
  brush: "Paint the selected object; right-drag erases.",
  eraser: "Erase from the selected object.",
  select: "Click a mask to select it; drag a mark to move it, right-click it to delete it; drag elsewhere to move.",
};

export function choose(app, tool) {
  const { refs, stage } = app;
  app.modes[app.tool]?.leave();
  app.tool = tool;
  refs.tools.querySelectorAll("button").forEach((button) => {
    button.setAttribute("aria-checked", String(button.dataset.tool === tool));
  });
  help(app, "");
  stage.pointer = null;
  refs.brush.hidden = !BRUSHES.includes(tool);
  refs.words.hidden = tool !== "text";
  refs.chips.hidden = tool !== "text" || !refs.chips.children.length;
  refs.canvas.dataset.tool = tool;
  app.modes[tool]?.enter?.();
  if (tool === "text") refs.words.querySelector("input").focus();
  app.draw();
}

// A sentence in the place of the tool's hint; "" brings the hint back.
export function help(app, text) {
  const { hint } = app.refs;
  hint.textContent = text || (app.modes[app.tool]?.hint ?? HINTS[app.tool]);
  hint.hidden = app.tool === "text";
}

export function setSubtracting(app, isSubtracting) {
  app.isSubtracting = isSubtracting;
  app.refs.subtract.setAttribute("aria-pressed", String(isSubtracting));
  app.draw();
}

// The brush's radius in pixels of the image.
export function setBrush(app, radius) {
  const { image, refs } = app;
  const most = image ? Math.max(image.width, image.height) / 4 : 500;
  app.brushRadius = Math.min(most, Math.max(0.5, radius));
  refs["brush-size"].value = Math.log(app.brushRadius) / Math.log(1.06);
  refs["brush-text"].textContent = `${Math.round(2 * app.brushRadius)} px`;
  app.draw();
}

// The buttons above the stage as things are.
export function draw({ refs, document: doc, stage, player }) {
  refs.percent.textContent = `${Math.round(stage.view.scale * 100)} %`;
  refs.page.querySelector("[data-do=undo]").disabled = doc.past.length === 0;
  refs.page.querySelector("[data-do=redo]").disabled = doc.future.length === 0;
  refs.page.querySelector("[data-do=play]").textContent = player.step === null ? "▶" : "■";
}
