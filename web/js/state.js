// What the page knows, and who is told when it changes. One object, plain fields; views read it and listen, app.js and the
// actions write it and emit. Events: models, list, conversation (another is shown), path (its messages changed), node (one
// message changed; detail = node), settings, running, alive.

import { DEFAULT_SETTINGS, cleanSettings } from './request.js';

export const state = {
  store: null, models: [], metas: [], conversation: null,
  running: new Map(),  // node id -> AbortController
  alive: true,
};

const bus = new EventTarget();
export const on = (type, listener) => bus.addEventListener(type, (event) => listener(event.detail));
export const emit = (type, detail) => bus.dispatchEvent(new CustomEvent(type, { detail }));

export function modelOf(settings) {
  return state.models.find((m) => m.id === settings.model) || state.models[0] || null;
}

export function isRunning(conversation) {
  return [...state.running.keys()].some((id) => conversation?.nodes.has(id));
}

const preference = {
  get(key, fallback) {
    try {
      return JSON.parse(localStorage.getItem(`bantam.${key}`)) ?? fallback;
    } catch {
      return fallback;
    }
  },
  set(key, value) {
    try { localStorage.setItem(`bantam.${key}`, JSON.stringify(value)); } catch { /* lasts until reload */ }
  },
};
export { preference };

// Settings that a new conversation begins with.
export const startSettings = () => cleanSettings(preference.get('defaults', { ...DEFAULT_SETTINGS }));
