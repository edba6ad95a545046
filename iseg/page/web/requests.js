// Requests about an image, and waiting until all that is shown is computed.

// A request about an image; if the server had to forget the image, it is sent again first.
export async function aboutImage(app, name, details, image, isWanted) {
  const ask = () => app.server.ask(name, { image: image.id, ...details }, isWanted);
  try {
    return await ask();
  } catch (error) {
    if (error.code !== "image_gone") throw error;
    await image.send();
    return ask();
  }
}

// Resolves when all that is visible is computed. Throws what keeps an object from that.
export async function settled(app, isWanted) {
  app.solver.sync();
  while (app.solver.busy && isWanted()) {
    await new Promise((resolve) => setTimeout(resolve, 30));
    checkFailures(app);
  }
  checkFailures(app);
}

function checkFailures({ image, document: doc, solver }) {
  if (image.trouble) throw new Error(`The image could not be read: ${image.trouble}`);
  const failed = doc.visible.find((object) => solver.failure(object));
  if (!failed) return;
  throw new Error(`${failed.name} could not be computed (${solver.failure(failed)}): hide or change it.`);
}
