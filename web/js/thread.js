// The messages of the shown conversation. Keeps one MessageView per shown node, so that a change redraws only what it
// touched; follows a streaming answer unless the user has scrolled away.

import { h, icon, replace, byId, bytes, count } from './dom.js';
import { state, on, modelOf } from './state.js';
import { shownPath, siblings } from './tree.js';
import { MessageView } from './message.js';

const NEAR_END = 60;  // pixels from the end that still count as reading along
const NANO_EXAMPLES = ['What is 17 + 25?', 'Give me a JSON object with name "Ada" and age 36.', 'Which is larger, 41 or 14?'];
const EXAMPLES = [
  'Explain how a hash table resolves collisions, with a small Python example.',
  'Prove that the square root of 2 is irrational.',
  'Write a regular expression for ISO dates and list what it misses.',
];

export class Thread {
  #views = new Map();
  #following = true;
  #top = 0;

  constructor(actions) {
    this.actions = actions;
    this.scroller = byId('thread');
    this.list = h('div.thread-list');
    this.jump = h('button.jump', { type: 'button', hidden: true, onclick: () => this.follow() }, icon('down'), 'Latest');
    this.scroller.append(this.list);
    this.scroller.after(this.jump);
    this.scroller.addEventListener('scroll', () => this.#scrolled(), { passive: true });
    new ResizeObserver(() => this.#keepUp()).observe(this.list);
    on('conversation', () => { this.#views.clear(); this.render(); this.follow(); });
    on('path', () => { this.render(); this.follow(); });
    on('node', (node) => { this.#views.get(node.id)?.update(); this.#keepUp(); });
    on('running', () => { for (const view of this.#views.values()) view.update(); });
    on('models', () => { if (!shownPath(state.conversation).length) this.render(); });
  }

  render() {
    const conversation = state.conversation;
    const path = shownPath(conversation);
    if (!path.length) {
      this.#views.clear();
      replace(this.list, this.#welcome());
      return;
    }
    const fresh = new Map();
    const view = (node) => {
      const found = this.#views.get(node.id) || new MessageView(conversation, node, this.actions);
      fresh.set(node.id, found);
      found.update();
      return found.element;
    };
    const rows = path.map((node) => {
      const pair = node.pair ? siblings(conversation, node).filter((n) => n.pair === node.pair) : [];
      if (pair.length < 2) return view(node);
      pair.sort((a, b) => (a.column < b.column ? -1 : 1));
      const others = new Set(siblings(conversation, node).filter((n) => n.column !== 'B' || !n.pair));
      return h('div.pair', { role: 'group', 'aria-label': 'Two answers side by side' }, this.#pairSwitcher(node, [...others]), pair.map(view));
    });
    this.#views = fresh;
    this.list.replaceChildren(...rows);
  }

  // Regenerated pairs and single answers beside them.
  #pairSwitcher(node, others) {
    if (others.length < 2) return null;
    const at = others.findIndex((n) => n.pair === node.pair);
    return h('div.pair-branches', {}, others.map((other, i) => h(`button.dot${i === at ? '.here' : ''}`, {
      type: 'button', title: `Branch ${i + 1} of ${others.length}`, 'aria-label': `Branch ${i + 1} of ${others.length}`, onclick: () => this.actions.show(other),
    })));
  }

  #welcome() {
    const model = modelOf(state.conversation.settings);
    const meta = model?.meta || {};
    const facts = [meta.type, meta.bytes && bytes(meta.bytes), meta.context && `${count(meta.context)} tokens of context`,
      { hybrid: 'thinks when asked', always: 'always thinks', never: 'does not think' }[meta.thinking]].filter(Boolean);
    return h('div.welcome', {}, h('img.welcome-mark', { src: 'ui/icon.svg', alt: '', width: 56, height: 56 }), h('h1', {}, model ? model.id : 'bantam'),
      facts.length > 0 && h('p.facts', {}, facts.join(' · ')),
      meta.house && h('p.house', {}, 'This is the small model inside bantam, for trying things out: it does sums, JSON and lookups. Serve one of your own with ', h('code', {}, 'bantam serve MODEL.gguf'), '.'),
      h('ul.examples', {}, (meta.house ? NANO_EXAMPLES : EXAMPLES).map((text) => h('li', {}, h('button', { type: 'button', onclick: () => this.actions.suggest(text) }, text)))));
  }

  view(id) { return this.#views.get(id); }
  last(role) {
    return [...this.#views.values()].reverse().find((v) => v.node.role === role && (!v.node.pair || state.conversation.selected[v.node.parent] === v.node.id));
  }

  #scrolled() {
    const { scrollHeight, scrollTop, clientHeight } = this.scroller;
    // Only going up is leaving: a text that grows under a still position is not.
    if (scrollHeight - scrollTop - clientHeight < NEAR_END) this.#following = true;
    else if (scrollTop < this.#top) this.#following = false;
    this.#top = scrollTop;
    this.jump.hidden = this.#following;
  }
  #keepUp() {
    if (this.#following) this.scroller.scrollTop = this.scroller.scrollHeight;
    else this.jump.hidden = false;
  }
  follow() {
    this.#following = true;
    this.jump.hidden = true;
    this.#keepUp();
  }
}
