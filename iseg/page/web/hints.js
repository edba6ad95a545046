// One line for each tool, above the stage.

export const HINTS = {
  point: "Click what belongs to the object; right-click or Alt+click what does not.",
  line: "Draw a line or scribble over the object; right-click what does not belong to it.",
  box: "Drag a box around an object; each is a new object, with Shift part of the selected one.",
  text: "",
  brush: "Paint the selected object; right-drag erases.",
  eraser: "Erase from the selected object.",
  select: "Click a mask to select it; drag a mark to move it, right-click it to delete it; drag elsewhere to move.",
};
