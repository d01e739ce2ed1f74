// What is sent: turns a path of nodes and settings into the body of POST /v1/chat/completions. Pure functions.

// The sampling controls, in the order they are shown. `key` is both the setting's and the request field's name; `places` rounds.
export const SAMPLING = [
  { key: 'temperature', label: 'Temperature', min: 0, max: 2, step: 0.05, about: 'Higher is more varied; 0 always takes the likeliest token.' },
  { key: 'top_p', label: 'Top p', min: 0, max: 1, step: 0.01, about: 'Keeps the likeliest tokens that together have this probability.' },
  { key: 'top_k', label: 'Top k', min: 0, max: 200, step: 1, about: 'Keeps this many of the likeliest tokens; 0 keeps all.' },
  { key: 'min_p', label: 'Min p', min: 0, max: 1, step: 0.01, about: 'Drops tokens less likely than this share of the likeliest.' },
  { key: 'presence_penalty', label: 'Presence penalty', min: -2, max: 2, step: 0.1, about: 'Discourages tokens that have appeared; 1.5 helps against loops of quantised models.' },
];
const WHOLE = ['top_k', 'seed', 'max_tokens', 'thinking_budget', 'alternatives'];

export const DEFAULT_SETTINGS = Object.freeze({
  model: '', system: '', thinking: 'auto', thinking_budget: null, temperature: null, top_p: null, top_k: null, min_p: null,
  presence_penalty: null, seed: null, max_tokens: null, alternatives: 5, tools: '', compare: false, b: {},
});

// Settings of column B: what B changes over what A has.
export function settingsOf(settings, column) {
  const own = Object.fromEntries(Object.entries(settings.b || {}).filter(([, v]) => v !== null && v !== undefined && v !== ''));
  return column === 'B' ? { ...settings, ...own } : settings;
}

// Settings from an untrusted file or an older version: known keys of the right type only.
export function cleanSettings(raw, keepB = true) {
  const clean = { ...DEFAULT_SETTINGS, b: {} };
  if (!raw || typeof raw !== 'object') return clean;
  for (const key of ['model', 'system', 'tools']) if (typeof raw[key] === 'string') clean[key] = raw[key];
  if (['auto', 'on', 'off'].includes(raw.thinking)) clean.thinking = raw.thinking;
  for (const key of [...SAMPLING.map((s) => s.key), 'seed', 'max_tokens', 'thinking_budget', 'alternatives']) {
    if (Number.isFinite(raw[key])) clean[key] = WHOLE.includes(key) ? Math.trunc(raw[key]) : raw[key];
  }
  clean.compare = raw.compare === true;
  if (keepB && raw.b && typeof raw.b === 'object') {
    const b = cleanSettings(raw.b, false);
    for (const key of Object.keys(raw.b)) if (key !== 'b' && key !== 'compare' && key in DEFAULT_SETTINGS) clean.b[key] = b[key];
  }
  return clean;
}

// A fence of backquotes longer than any run inside.
export function fenceFor(text) {
  const longest = Math.max(2, ...Array.from(text.matchAll(/`+/g), (m) => m[0].length));
  return '`'.repeat(longest + 1);
}

export function withAttachments(text, attachments = []) {
  const files = attachments.map((a) => {
    const fence = fenceFor(a.text);
    return `File ${a.name}:\n${fence}\n${a.text.replace(/\n$/, '')}\n${fence}`;
  });
  return [...files, text].filter(Boolean).join('\n\n');
}

export function buildMessages(path, settings) {
  const messages = settings.system.trim() ? [{ role: 'system', content: settings.system }] : [];
  for (const node of path) {
    if (node.role === 'user') {
      messages.push({ role: 'user', content: withAttachments(node.content, node.attachments) });
    } else if (node.role === 'tool') {
      messages.push({ role: 'tool', tool_call_id: node.toolCallId || '', content: node.content });
    } else {
      const message = { role: 'assistant', content: node.content };
      if (node.toolCalls?.length) {
        // Inside a tool loop the template keeps the thinking; elsewhere it drops it, so it is not sent.
        if (node.reasoning) message.reasoning_content = node.reasoning;
        message.tool_calls = node.toolCalls.map((c) => ({ id: c.id, type: 'function', function: { name: c.name, arguments: c.arguments } }));
      }
      messages.push(message);
    }
  }
  return messages;
}

// The tools of the settings as an array, or an Error that says what is wrong with the text.
export function parseTools(text) {
  if (!text.trim()) return [];
  let tools;
  try {
    tools = JSON.parse(text);
  } catch (error) {
    return new Error(`Tools: not JSON: ${error.message}`);
  }
  if (!Array.isArray(tools)) return new Error('Tools: expected a JSON array of functions');
  const bare = tools.findIndex((t) => typeof (t?.function?.name ?? t?.name) !== 'string');
  if (bare >= 0) return new Error(`Tools: number ${bare + 1} has no name`);
  return tools.map((t) => (t.function ? t : { type: 'function', function: t }));
}

export function buildBody({ path, settings, seed, prefix = [] }) {
  const body = {
    model: settings.model, messages: buildMessages(path, settings), stream: true,
    stream_options: { include_usage: true }, return_progress: true, logprobs: true, top_logprobs: settings.alternatives ?? 5,
  };
  for (const { key } of SAMPLING) if (settings[key] !== null && settings[key] !== undefined) body[key] = settings[key];
  if (seed !== null && seed !== undefined) body.seed = seed;
  if (settings.max_tokens) body.max_completion_tokens = settings.max_tokens;
  if (settings.thinking !== 'auto') body.enable_thinking = settings.thinking === 'on';
  if (settings.thinking !== 'off' && settings.thinking_budget !== null && settings.thinking_budget !== undefined) {
    body.thinking_budget = settings.thinking_budget;
  }
  const tools = parseTools(settings.tools || '');
  if (Array.isArray(tools) && tools.length) body.tools = tools;
  if (prefix.length) body.prefix_token_ids = prefix;
  return body;
}

// The model's own sampling values for these settings, which apply where a setting is empty.
export function modelDefaults(model, settings) {
  const meta = model?.meta || {};
  const thinks = meta.thinking === 'always' || (meta.thinking === 'hybrid' && settings.thinking !== 'off');
  return meta.sampling?.[thinks ? 'thinking' : 'plain'] || {};
}

export const randomSeed = () => crypto.getRandomValues(new Uint32Array(1))[0] >>> 1;
