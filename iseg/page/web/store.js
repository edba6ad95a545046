// The browser's own database: images that were opened, and the work on each, by the image's id.

const NAME = "iseg";
const STORES = ["images", "work"];

export class Store {
  constructor() {
    this.isDurable = true;
    this.memory = new Map(); // stands in where the browser keeps nothing, e.g. in a private window
    this.ready = open().catch(() => {
      this.isDurable = false;
      return null;
    });
  }

  async get(store, key) {
    return this.#run(store, "readonly", (place) => place.get(key), () => this.memory.get(`${store} ${key}`));
  }

  async put(store, value) {
    const remember = () => void this.memory.set(`${store} ${value.id}`, value);
    return this.#run(store, "readwrite", (place) => place.put(value), remember);
  }

  async remove(store, key) {
    return this.#run(store, "readwrite", (place) => place.delete(key), () => this.memory.delete(`${store} ${key}`));
  }

  async all(store) {
    const own = () => [...this.memory].filter(([key]) => key.startsWith(`${store} `)).map(([, value]) => value);
    return this.#run(store, "readonly", (place) => place.getAll(), own);
  }

  async #run(store, mode, ask, otherwise) {
    const database = await this.ready;
    if (!database) return otherwise();
    return new Promise((resolve, reject) => {
      const transaction = database.transaction(store, mode, { durability: "strict" });
      const request = ask(transaction.objectStore(store));
      transaction.oncomplete = () => resolve(request.result);
      transaction.onerror = transaction.onabort = () => reject(transaction.error ?? new Error("nothing was kept"));
    });
  }
}

function open() {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(NAME, 1);
    request.onupgradeneeded = () => STORES.forEach((name) => request.result.createObjectStore(name, { keyPath: "id" }));
    request.onsuccess = () => resolve(request.result);
    request.onerror = request.onblocked = () => reject(request.error);
  });
}
