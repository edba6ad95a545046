// Requests to the server. Each answer is a plain object; a failure is an Error whose message people can read.

export class ServerError extends Error {
  constructor(message, code) {
    super(message);
    this.code = code;
  }
}

export class Server {
  constructor(functions) {
    this.functions = functions;
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    this.token = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  }

  async ask(name, request = {}) {
    const answer = await this.functions[name]({ token: this.token, ...request });
    if (!answer) throw new ServerError("The server did not answer. Is it still running?", "silent");
    if (!answer.ok) throw new ServerError(answer.error, answer.code);
    return answer;
  }
}

export async function toBase64(blob) {
  const bytes = new Uint8Array(await blob.arrayBuffer());
  let text = "";
  for (let i = 0; i < bytes.length; i += 0x8000) text += String.fromCharCode(...bytes.subarray(i, i + 0x8000));
  return btoa(text);
}
