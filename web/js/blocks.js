// The parts of an answer that are not prose: thinking, tool calls, waiting, errors. Each is a small view with `element` and
// `update(node)`; message.js puts them together.

import { h, icon, replace, count, seconds } from './dom.js';
import { reasoningTokens } from './answer.js';
import { codeBlock } from './markdown.js';
import { modelOf } from './state.js';
import { host } from './api.js';

// Thinking: open while it streams, folded when the answer begins, unless the user has decided.
export class ThinkingBlock {
  #text = h('div.think-text');
  #label = h('span.think-label');
  #decided = false;
  #shown = '';
  constructor() {
    this.element = h('details.think', { hidden: true }, h('summary', { onclick: () => { this.#decided = true; } },
      icon('think'), this.#label, icon('down')), this.#text);
  }
  update(node) {
    const reasoning = (node.reasoning || '').trim();
    this.element.hidden = !reasoning;
    if (!reasoning) return;
    const thinking = node.status === 'streaming' && !node.content && !node.toolCalls?.length;
    const facts = [node.reasoningMs ? seconds(node.reasoningMs) : '', reasoningTokens(node) ? `${count(reasoningTokens(node))} tokens` : ''];
    replace(this.#label, h('b', {}, thinking ? 'Thinking' : 'Thought'), h('span.facts', {}, facts.filter(Boolean).join(' · ')));
    this.element.classList.toggle('live', thinking);
    if (!this.#decided) this.element.open = thinking;
    if (reasoning === this.#shown) return;
    // Appending keeps a selection in the text alive.
    if (reasoning.startsWith(this.#shown)) this.#text.append(reasoning.slice(this.#shown.length));
    else this.#text.textContent = reasoning;
    this.#shown = reasoning;
    if (thinking) this.#text.scrollTop = this.#text.scrollHeight;
  }
}

const pretty = (text) => {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
};

// Tool calls with their arguments; when the answer ended in calls that have no result yet, fields to give the results by hand.
export class ToolBlock {
  #key = '';
  constructor(onresults) {
    this.element = h('div.tools', { hidden: true });
    this.onresults = onresults;
  }
  update(node, answered) {
    const calls = (node.toolCalls || []).filter(Boolean);
    this.element.hidden = !calls.length;
    const waiting = calls.length > 0 && node.status === 'done' && !answered;
    const key = JSON.stringify([calls, waiting, node.status]);
    if (key === this.#key) return;
    this.#key = key;
    const fields = calls.map((call) => h('textarea.field.tool-result', { rows: 2, placeholder: `What ${call.name} returned`, 'aria-label': `Result of ${call.name}` }));
    replace(this.element,
      calls.map((call, i) => h('div.tool', {},
        h('div.tool-head', {}, icon('tool'), h('b', {}, call.name || '…'), h('span.facts', {}, call.id)),
        codeBlock(h('code', {}, pretty(call.arguments)), 'json'), waiting && fields[i])),
      waiting && h('button.button.primary', { type: 'button', onclick: () => this.onresults(fields.map((f) => f.value)) },
        calls.length > 1 ? 'Send the results' : 'Send the result'));
  }
}

// What goes on before the first token: the prompt being read, or a server that is busy.
export class WaitingBlock {
  #timer = 0;
  constructor() { this.element = h('div.waiting', { hidden: true }); }
  update(node) {
    clearTimeout(this.#timer);
    const waits = node.status === 'streaming' && !node.fresh;
    this.element.hidden = !waits;
    if (!waits) return;
    if (node.retry) {
      const left = Math.max(0, Math.ceil((node.retry.at - Date.now()) / 1000));
      replace(this.element, h('span.pulse'), `${node.retry.kind === 'busy' ? 'The server is busy' : 'The server is still loading'}; trying again in ${left} s.`);
      this.#timer = setTimeout(() => this.update(node), 500);
      return;
    }
    const { total = 0, processed = 0, cache = 0 } = node.progress || {};
    if (!total || processed >= total) {
      replace(this.element, h('span.pulse'), 'Waiting for the first token');
      return;
    }
    const bar = h('span.bar', {}, h('i.cached'), h('i.read'));
    bar.children[0].style.width = `${(100 * cache) / total}%`;
    bar.children[1].style.width = `${(100 * Math.max(0, processed - cache)) / total}%`;
    replace(this.element, h('span.pulse'), `Reading the prompt: ${count(processed)} of ${count(total)} tokens`, bar);
  }
}

const ADVICE = {
  auth: () => ['This server wants an API key', 'Enter the key, then try again.'],
  busy: () => ['The server is busy', 'Every place in its queue is taken. Try again in a moment.'],
  loading: () => ['The server is still loading', 'The model is not ready yet. Try again in a moment.'],
  overflow: (node) => {
    const limit = modelOf(node.settings || {})?.meta?.context;
    return ['The conversation no longer fits', `${limit ? `This model holds ${count(limit)} tokens. ` : ''}Nothing was cut or sent. Shorten or delete messages or attachments, or ask for fewer tokens.`];
  },
  gone: () => ['The server does not answer', `Nothing listens at ${host}. Is bantam serve still running? What you wrote is kept.`],
  cut: () => ['The answer broke off', 'The connection ended early. What had arrived is kept; continue goes on from there.'],
  request: () => ['The server refused this request', ''],
  server: () => ['Something went wrong', ''],
};

export class ErrorBlock {
  #key = '';
  constructor(onretry, onkey) {
    this.element = h('div.error', { hidden: true, role: 'alert' });
    this.onretry = onretry;
    this.onkey = onkey;
  }
  update(node) {
    const error = node.error;
    this.element.hidden = !error;
    const key = error ? JSON.stringify(error) : '';
    if (key === this.#key) return;
    this.#key = key;
    if (!error) return;
    const [title, advice] = (ADVICE[error.kind] || ADVICE.server)(node);
    const says = error.kind === 'gone' || error.kind === 'cut' ? '' : error.message;
    replace(this.element, h('b', {}, title), advice && h('p', {}, advice), says && h('p.says', {}, says),
      h('div.error-actions', {},
        error.kind === 'auth' && h('button.button.primary', { type: 'button', onclick: this.onkey }, 'Enter the key'),
        h('button.button', { type: 'button', onclick: this.onretry }, 'Try again')));
  }
}

// A line on how an answer ended, when that needs saying.
export function endNote(node) {
  if (node.status === 'stopped') return 'Stopped.';
  if (node.status === 'interrupted') return 'Interrupted: the page was closed while this was written.';
  if (node.status === 'done' && node.finish === 'length') return 'The token limit was reached.';
  if (node.status === 'done' && !node.content?.trim() && !node.toolCalls?.length) {
    return node.reasoning ? 'It ended while thinking, without an answer. Continue, or raise the token limit.' : 'The answer is empty.';
  }
  return '';
}

