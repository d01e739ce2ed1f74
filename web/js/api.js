// Talks to the server this page came from. Owns the API key (sessionStorage, or localStorage when the user says so) and turns every
// failure into an ApiError whose `kind` the views know how to explain.

const KEY = 'bantam.key';
const base = new URL('.', document.baseURI);

// kind: auth, busy (retry later), loading, overflow (context), gone (no server), cut (stream ended early), request, server.
export class ApiError extends Error {
  constructor(kind, message, details = {}) {
    super(message);
    Object.assign(this, { kind, status: 0, code: '', retryAfter: null }, details);
  }
}

export function getKey() {
  try {
    return sessionStorage.getItem(KEY) || localStorage.getItem(KEY) || '';
  } catch {
    return '';
  }
}

export function setKey(key, remember) {
  sessionStorage.removeItem(KEY);
  localStorage.removeItem(KEY);
  if (key) (remember ? localStorage : sessionStorage).setItem(KEY, key);
}

function kindOf(status, error) {
  if (status === 401 || status === 403 && /key/i.test(error.message || '')) return 'auth';
  if (status === 429) return 'busy';
  if (status === 503) return 'loading';
  if (error.code === 'context_length_exceeded' || error.type === 'exceed_context_size_error') return 'overflow';
  return status >= 500 ? 'server' : 'request';
}

// From an error body {"error": {message, type, code, param}}; also for an error event inside a stream (status 0).
export function errorFrom(status, body, retryAfter = null) {
  const error = typeof body?.error === 'object' && body.error ? body.error : { message: body?.error };
  const message = String(error.message || `The server answered with status ${status}.`);
  return new ApiError(kindOf(status, error), message, { status, code: String(error.code ?? ''), param: error.param, retryAfter });
}

async function failure(response) {
  const text = await response.text().catch(() => '');
  let body = null;
  try { body = JSON.parse(text); } catch { /* not ours: a proxy's page perhaps */ }
  const retry = Number.parseFloat(response.headers.get('Retry-After'));
  return errorFrom(response.status, body, Number.isFinite(retry) ? retry : null);
}

// The Response of a successful request. `body` makes it a POST of JSON.
export async function call(path, { body, signal } = {}) {
  const headers = {};
  const key = getKey();
  if (key) headers.Authorization = `Bearer ${key}`;
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  let response;
  try {
    response = await fetch(new URL(path, base), {
      method: body === undefined ? 'GET' : 'POST', headers, signal, cache: 'no-store', credentials: 'same-origin',
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new ApiError('gone', `Nothing answers at ${base.host}.`);
  }
  if (!response.ok) throw await failure(response);
  return response;
}

export const callJson = async (path, options) => (await call(path, options)).json();

export async function fetchModels() {
  const { data } = await callJson('v1/models');
  return Array.isArray(data) ? data.filter((m) => typeof m?.id === 'string') : [];
}

export async function isAlive() {
  try {
    return (await fetch(new URL('health', base), { cache: 'no-store' })).ok;
  } catch {
    return false;
  }
}

// Ids of a text; `special`: whether control tokens may be recognised in it.
export async function tokenize(model, text, special, signal) {
  const { tokens } = await callJson('tokenize', { body: { model, content: text, parse_special: special }, signal });
  return tokens.map((t) => (typeof t === 'number' ? t : t.id));
}

export const host = base.host;
