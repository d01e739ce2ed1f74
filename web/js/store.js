// Conversations in IndexedDB: store `conversations` holds everything but the nodes, store `nodes` one record per message with
// an index by conversation, so that saving a streaming answer writes one record. Where the browser refuses a
// database (some private windows) everything lives in memory until the page closes, and `persistent` is false.

import { newId } from './tree.js';
import { cleanSettings } from './request.js';

const VERSION = 1;
const finished = (request) => new Promise((resolve, reject) => {
  request.onsuccess = () => resolve(request.result);
  request.onerror = () => reject(request.error);
});
const committed = (transaction) => new Promise((resolve, reject) => {
  transaction.oncomplete = () => resolve();
  transaction.onerror = transaction.onabort = () => reject(transaction.error);
});

class DatabaseBackend {
  persistent = true;
  constructor(db) { this.db = db; }
  listMetas() { return finished(this.db.transaction('conversations').objectStore('conversations').getAll()); }
  getMeta(id) { return finished(this.db.transaction('conversations').objectStore('conversations').get(id)); }
  getNodes(id) { return finished(this.db.transaction('nodes').objectStore('nodes').index('conversation').getAll(id)); }
  allNodes() { return finished(this.db.transaction('nodes').objectStore('nodes').getAll()); }
  write(metas, nodes) {
    const transaction = this.db.transaction(['conversations', 'nodes'], 'readwrite');
    for (const meta of metas) transaction.objectStore('conversations').put(meta);
    for (const node of nodes) transaction.objectStore('nodes').put(node);
    return committed(transaction);
  }
  erase(metaIds, nodeIds) {
    const transaction = this.db.transaction(['conversations', 'nodes'], 'readwrite');
    for (const id of metaIds) transaction.objectStore('conversations').delete(id);
    for (const id of nodeIds) transaction.objectStore('nodes').delete(id);
    return committed(transaction);
  }
}

class MemoryBackend {
  persistent = false;
  #metas = new Map();
  #nodes = new Map();
  async listMetas() { return [...this.#metas.values()]; }
  async getMeta(id) { return this.#metas.get(id); }
  async getNodes(id) { return [...this.#nodes.values()].filter((n) => n.conversation === id); }
  async allNodes() { return [...this.#nodes.values()]; }
  async write(metas, nodes) {
    for (const meta of metas) this.#metas.set(meta.id, structuredClone(meta));
    for (const node of nodes) this.#nodes.set(node.id, structuredClone(node));
  }
  async erase(metaIds, nodeIds) {
    for (const id of metaIds) this.#metas.delete(id);
    for (const id of nodeIds) this.#nodes.delete(id);
  }
}

async function openBackend() {
  try {
    const request = indexedDB.open('bantam', VERSION);
    request.onupgradeneeded = () => {
      request.result.createObjectStore('conversations', { keyPath: 'id' });
      request.result.createObjectStore('nodes', { keyPath: 'id' }).createIndex('conversation', 'conversation');
    };
    return new DatabaseBackend(await finished(request));
  } catch {
    return new MemoryBackend();
  }
}

const metaOf = ({ nodes, ...meta }) => meta;
const FLEETING = ['progress', 'lastProgress', 'fresh', 'reasoningAt', 'retry'];
const nodeRecord = (node) => Object.fromEntries(Object.entries(node).filter(([key]) => !FLEETING.includes(key)));

function assemble(meta, nodes) {
  const conversation = { ...meta, settings: cleanSettings(meta.settings), nodes: new Map() };
  const known = new Set(nodes.map((n) => n.id));
  for (const node of nodes.sort((a, b) => a.order - b.order)) {
    if (node.status === 'streaming') node.status = 'interrupted';  // the page was closed meanwhile
    if (node.parent === '' || known.has(node.parent)) conversation.nodes.set(node.id, node);
  }
  return conversation;
}

export class Store {
  static async open() { return new Store(await openBackend()); }
  constructor(backend) {
    this.backend = backend;
    this.channel = 'BroadcastChannel' in window ? new BroadcastChannel('bantam') : null;
  }
  get persistent() { return this.backend.persistent; }
  // Calls back when another tab has changed something.
  onOutsideChange(callback) { if (this.channel) this.channel.onmessage = (event) => callback(event.data); }
  #tell(id) { this.channel?.postMessage(id); }

  async list() {
    return (await this.backend.listMetas()).sort((a, b) => b.updated - a.updated);
  }
  async load(id) {
    const meta = await this.backend.getMeta(id);
    return meta && assemble(meta, await this.backend.getNodes(id));
  }
  async save(conversation, nodes = []) {
    await this.backend.write([metaOf(conversation)], nodes.map(nodeRecord));
    this.#tell(conversation.id);
  }
  // Of an answer that grows: quiet, the other tabs hear of it when it is done.
  async saveNode(node) { await this.backend.write([], [nodeRecord(node)]); }
  async removeNodes(conversation, nodes) {
    await this.backend.erase([], nodes.map((n) => n.id));
    await this.save(conversation);
  }
  async removeConversation(id) {
    await this.backend.erase([id], (await this.backend.getNodes(id)).map((n) => n.id));
    this.#tell(id);
  }
  // Ids of conversations that contain all the words, title or text.
  async search(words) {
    const wanted = words.toLowerCase().split(/\s+/).filter(Boolean);
    const texts = new Map();
    for (const meta of await this.backend.listMetas()) texts.set(meta.id, [meta.title]);
    for (const node of await this.backend.allNodes()) texts.get(node.conversation)?.push(node.content);
    const hits = new Set();
    for (const [id, parts] of texts) {
      const text = parts.join('\n').toLowerCase();
      if (wanted.every((word) => text.includes(word))) hits.add(id);
    }
    return hits;
  }
  async exportAll() {
    const metas = await this.list();
    return Promise.all(metas.map((meta) => this.load(meta.id)));
  }
  // Takes conversations that transfer.js has checked; every id is made anew, so nothing here is overwritten.
  async importAll(conversations) {
    for (const source of conversations) {
      const id = newId();
      const renamed = new Map([['', '']]);
      for (const node of source.nodes) renamed.set(node.id, newId());
      const nodes = source.nodes.map((n) => ({ ...n, id: renamed.get(n.id), parent: renamed.get(n.parent), conversation: id }));
      const selected = Object.fromEntries(Object.entries(source.selected).map(([p, c]) => [renamed.get(p), renamed.get(c)]));
      await this.backend.write([{ ...metaOf(source), id, selected }], nodes);
    }
    this.#tell('');
  }
}
