// One message on screen. Made by thread.js, which keeps it as long as the message is shown; `update()` brings it up to date
// with its node. All that the user can do to a message starts here, through the `actions` that app.js provides.

import { h, icon, iconButton, replace, copyText, count, seconds } from './dom.js';
import { siblings } from './tree.js';
import { ProseView } from './markdown.js';
import { ThinkingBlock, ToolBlock, WaitingBlock, ErrorBlock, endNote } from './blocks.js';
import { TokenView } from './tokens.js';
import { rate } from './answer.js';
import { attachmentChip } from './attach.js';
import { isRunning } from './state.js';
import { SAMPLING } from './request.js';

const KEEP_UP_MS = 4;  // a render may take this share (1/4) of the time between renders

export class MessageView {
  #mode = 'prose';  // prose, source or tokens
  #rendered = null;
  #cost = 0;
  #timer = 0;
  #editing = false;

  constructor(conversation, node, actions) {
    Object.assign(this, { conversation, node, actions });
    this.rail = h('div.rail');
    this.head = h('header.message-head');
    this.body = h('div.message-body');
    this.foot = h('footer.message-foot');
    this.element = h(`article.message.${node.role}`, { data: { id: node.id }, 'aria-label': node.role === 'user' ? 'You' : node.role === 'tool' ? 'Tool result' : 'Answer' },
      this.rail, h('div.message-main', {}, this.head, this.body, this.foot));
    if (node.role === 'assistant') this.#buildAnswer();
    this.update();
  }

  #buildAnswer() {
    this.thinking = new ThinkingBlock();
    this.waiting = new WaitingBlock();
    this.prose = h('div.prose');
    this.proseView = new ProseView(this.prose);
    this.toolBlock = new ToolBlock((results) => this.actions.giveToolResults(this.node, results));
    this.errorBlock = new ErrorBlock(() => this.actions.retry(this.node), () => this.actions.askKey());
    this.note = h('p.end-note', { hidden: true });
    this.body.append(this.thinking.element, this.waiting.element, this.prose, this.toolBlock.element, this.note, this.errorBlock.element);
  }

  update() {
    this.#updateRail();
    this.#updateHead();
    this.#updateFoot();
    if (this.#editing) return;
    if (this.node.role === 'assistant') this.#updateAnswer();
    else this.#updatePlain();
  }

  #updatePlain() {
    const files = (this.node.attachments || []).map((a) => attachmentChip(a));
    const parts = [files.length > 0 && h('div.chips', {}, files), this.node.content && h('div.plain', {}, this.node.content)];
    replace(this.body, this.node.role === 'tool' ? h('details.tool.result', {}, h('summary', {}, icon('tool'), h('b', {}, 'Result')), h('div.plain', {}, this.node.content)) : parts);
  }

  #updateAnswer() {
    const node = this.node;
    this.element.classList.toggle('streaming', node.status === 'streaming');
    this.waiting.update(node);
    this.toolBlock.update(node, [...this.conversation.nodes.values()].some((n) => n.parent === node.id));
    this.errorBlock.update(node);
    const note = endNote(node);
    this.note.hidden = !note;
    this.note.textContent = note;
    this.thinking.update(node);
    if (this.#mode === 'tokens') {
      this.thinking.element.hidden = true;
      this.tokenView.update(node);
    } else {
      this.#renderProse();
    }
  }

  // Renders now when that is cheap, else a little later: long answers must not slow the stream down.
  #renderProse() {
    const text = this.node.content || '';
    const key = `${this.#mode}:${text}`;
    if (key === this.#rendered || this.#timer) return;
    const wait = this.node.status === 'streaming' ? this.#cost * KEEP_UP_MS : 0;
    if (wait > 16) {
      this.#timer = setTimeout(() => { this.#timer = 0; this.#cost = 0; this.#renderProse(); }, wait);
      return;
    }
    const start = performance.now();
    this.#rendered = key;
    this.prose.classList.toggle('source', this.#mode === 'source');
    if (this.#mode === 'source') this.prose.textContent = text;
    else this.proseView.update(text);
    this.#cost = performance.now() - start;
  }

  setMode(mode) {
    this.#mode = this.#mode === mode ? 'prose' : mode;
    this.#rendered = null;
    this.prose.textContent = '';
    this.proseView = new ProseView(this.prose);
    this.tokenView?.element.remove();
    this.prose.hidden = this.#mode === 'tokens';
    if (this.#mode === 'tokens') {
      this.tokenView = new TokenView((index, choice) => this.actions.fork(this.node, index, choice));
      this.prose.after(this.tokenView.element);
    }
    this.update();
  }

  // The rail shows the tree: a dot per message, and one small dot per branch where there are several.
  #updateRail() {
    const all = this.node.pair ? [this.node] : siblings(this.conversation, this.node);
    const at = all.indexOf(this.node);
    if (this.rail.dataset.key === `${at}/${all.length}`) return;
    this.rail.dataset.key = `${at}/${all.length}`;
    replace(this.rail, h('i.stem'), all.length > 1 && all.length < 8
      ? all.map((other, i) => h(`button.dot${i === at ? '.here' : ''}`, { type: 'button', title: `Branch ${i + 1} of ${all.length}`, 'aria-label': `Branch ${i + 1} of ${all.length}`, onclick: () => this.actions.show(other) }))
      : h('i.dot.here'));
  }

  #updateHead() {
    const node = this.node;
    if (node.role !== 'assistant') {
      if (!this.head.firstChild && node.role === 'user') this.head.append('You');
      return;
    }
    const changed = node.column ? this.#columnFacts() : '';
    replace(this.head, node.column && h(`span.column-mark.${node.column.toLowerCase()}`, {}, node.column), h('span.model-name', {}, node.model || 'Answer'),
      node.forkedAt !== undefined && h('span.facts', { title: 'A branch made in the token view' }, icon('fork'), `forked at token ${node.forkedAt + 1}`),
      node.edited && h('span.facts', {}, 'edited by you'), changed && h('span.facts', {}, changed));
  }

  // In which settings this column differs from the other, in short.
  #columnFacts() {
    const other = siblings(this.conversation, this.node).find((n) => n.pair === this.node.pair && n !== this.node);
    const value = (node, key) => node?.settings?.[key] ?? node?.settings?.defaults?.[key] ?? null;
    const facts = [...SAMPLING, { key: 'thinking', label: 'Thinking' }, { key: 'thinking_budget', label: 'Budget' }, { key: 'seed', label: 'Seed' }]
      .filter(({ key }) => value(this.node, key) !== value(other, key))
      .map(({ key, label }) => `${label.toLowerCase()} ${value(this.node, key) ?? 'default'}`);
    if (value(this.node, 'system') !== value(other, 'system')) facts.push('own system prompt');
    return facts.join(' · ') || (value(this.node, 'model') === value(other, 'model') ? 'same settings' : '');
  }

  #updateFoot() {
    const node = this.node;
    const running = node.status === 'streaming';
    const busy = isRunning(this.conversation);
    const all = siblings(this.conversation, node);
    const key = [node.status, busy, all.indexOf(node), all.length, this.#mode, this.#editing, node.error?.kind, this.conversation.selected[node.parent] === node.id].join();
    if (key !== this.foot.dataset.key) {
      this.foot.dataset.key = key;
      this.stats = h('span.stats');
      replace(this.foot, all.length > 1 && !node.pair && this.#switcher(all), !this.#editing && !running && this.#actions(busy), this.stats, node.pair && this.#keepButton());
    }
    this.stats.textContent = node.role === 'assistant' ? this.#stats() : '';
    if (node.role === 'assistant') this.stats.title = this.#statsTitle();
  }

  #switcher(all) {
    return h('span.switcher', {}, iconButton('left', 'Previous branch', () => this.actions.step(this.node, -1)),
      h('span', {}, `${all.indexOf(this.node) + 1}/${all.length}`), iconButton('right', 'Next branch', () => this.actions.step(this.node, 1)));
  }

  #actions(busy) {
    const node = this.node;
    const empty = !node.content && !node.tokens?.length && node.role === 'assistant';
    const buttons = empty ? [] : [this.#copyButton()];
    const add = (name, label, action, on) => { const b = iconButton(name, label, action, on ? '.on' : ''); if (on !== undefined) b.setAttribute('aria-pressed', on); buttons.push(b); };
    if (node.role !== 'tool' && !busy && !empty) add('edit', 'Edit', () => this.edit());
    if (node.role === 'assistant') {
      if (!busy) add('redo', 'Regenerate', () => this.actions.regenerate(node));
      if (!busy && !empty && !node.toolCalls?.length) add('play', 'Continue', () => this.actions.continueAnswer(node));
      if (node.tokens?.length) add('tokens', 'Tokens', () => this.setMode('tokens'), this.#mode === 'tokens');
      if (!empty) add('eye', 'Markdown source', () => this.setMode('source'), this.#mode === 'source');
    }
    if (!busy) add('trash', 'Delete', () => this.actions.remove(node));
    return h('span.actions', {}, buttons);
  }

  #copyButton() {
    const button = iconButton('copy', 'Copy', async () => {
      replace(button, icon((await copyText(this.node.content)) ? 'check' : 'close'));
      setTimeout(() => replace(button, icon('copy')), 1500);
    });
    return button;
  }

  #keepButton() {
    const kept = this.conversation.selected[this.node.parent] === this.node.id;
    return h(`button.button.keep${kept ? '.on' : ''}`, { type: 'button', 'aria-pressed': kept, onclick: () => this.actions.show(this.node) }, kept ? 'Going on from here' : 'Go on from here');
  }

  #stats() {
    const node = this.node;
    const tokens = node.usage?.completion_tokens || node.tokens?.length || 0;
    const speed = rate(node);
    const cached = node.usage?.prompt_tokens_details?.cached_tokens;
    return [tokens && `${count(tokens)} tokens`, speed && `${speed < 10 ? speed.toFixed(1) : count(Math.round(speed))} tok/s`,
      cached && node.status !== 'streaming' && `${Math.round((100 * cached) / node.usage.prompt_tokens)} % cached`].filter(Boolean).join(' · ');
  }

  #statsTitle() {
    const { timings, usage, seed, started, firstToken } = this.node;
    return [usage && `prompt ${count(usage.prompt_tokens)} tokens`, timings?.prompt_per_second && `prompt read at ${count(Math.round(timings.prompt_per_second))} tok/s`,
      firstToken && `first token after ${seconds(firstToken - started)}`, seed !== null && seed !== undefined && `seed ${seed}`].filter(Boolean).join('\n');
  }

  edit() {
    if (this.#editing || isRunning(this.conversation)) return;
    this.#editing = true;
    const user = this.node.role === 'user';
    const area = h('textarea.field.edit-area', { value: this.node.content, 'aria-label': 'Edit the message', rows: Math.min(20, this.node.content.split('\n').length + 1) });
    const done = () => { this.#editing = false; this.editor.remove(); this.body.hidden = false; this.update(); };
    const finish = (goOn) => { done(); this.actions.saveEdit(this.node, area.value, goOn); };
    area.addEventListener('keydown', (event) => {
      if (event.key === 'Escape') { event.stopPropagation(); done(); }
      if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) finish(true);
    });
    this.editor = h('div.editor', {}, area, h('div.editor-actions', {},
      h('span.facts', {}, 'Saved as a new branch; this one stays.'),
      h('button.button', { type: 'button', onclick: done }, 'Cancel'),
      !user && h('button.button', { type: 'button', onclick: () => finish(false) }, 'Save'),
      h('button.button.primary', { type: 'button', onclick: () => finish(true) }, user ? 'Send' : 'Save and continue')));
    this.body.hidden = true;
    this.body.after(this.editor);
    this.#updateFoot();
    area.focus();
  }

}
