// Requests to the server, and the one state of the connection. A request that gets no answer waits until the server
// answers again and is then sent once more; a failure is an Error whose message people can read.

const FIRST = 500; // ms until the first new attempt; each further one waits twice as long
const MOST = 8000;

export class ServerError extends Error {
  constructor(message, code) {
    super(message);
    this.code = code;
  }
}

export class Server {
  constructor(functions) {
    this.functions = functions;
    this.token = token();
    this.isOnline = true;
    this.listeners = [];
    this.recovery = null; // the promise of an answer, while there is none
  }

  onConnection(listener) {
    this.listeners.push(listener);
  }

  // `isWanted` is asked before a request is sent again.
  async ask(name, request = {}, isWanted = () => true) {
    let answer = await this.#send(name, request);
    if (!answer) {
      await this.#recovered();
      if (!isWanted()) throw new ServerError("This is no longer wanted.", "superseded");
      answer = await this.#send(name, request);
      if (!answer) throw new ServerError("The server did not answer this request.", "silent");
    }
    if (!answer.ok) throw new ServerError(answer.error, answer.code);
    return answer;
  }

  async #send(name, request) {
    try {
      return await this.functions[name]({ token: this.token, ...request });
    } catch {
      return null; // no connection, or no answer that could be read
    }
  }

  #recovered() {
    this.recovery ??= this.#recover().finally(() => (this.recovery = null));
    return this.recovery;
  }

  async #recover() {
    for (let pause = FIRST; ; pause = Math.min(MOST, 2 * pause)) {
      if (await this.#send("status", {})) break;
      this.#set(false);
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
    this.#set(true);
  }

  #set(isOnline) {
    if (this.isOnline === isOnline) return;
    this.isOnline = isOnline;
    this.listeners.forEach((listener) => listener(isOnline));
  }
}

// This tab's name at the server; a reload keeps it, so that the server still knows whose images are whose.
function token() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  const made = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  try {
    const kept = sessionStorage.getItem("iseg-token") ?? made;
    sessionStorage.setItem("iseg-token", kept);
    return kept;
  } catch {
    return made; // no storage is allowed
  }
}

export async function toBase64(blob) {
  const bytes = new Uint8Array(await blob.arrayBuffer());
  let text = "";
  for (let i = 0; i < bytes.length; i += 0x8000) text += String.fromCharCode(...bytes.subarray(i, i + 0x8000));
  return btoa(text);
}
