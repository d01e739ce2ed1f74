// The token view: an answer as its tokens, shaded by how unlikely each was; the inspector shows the alternatives, and
// choosing one forks a new branch there. Tokens are one tab stop; arrows move between them.

import { h, icon, replace, count, iconButton } from './dom.js';
import { isControl, surprise } from './answer.js';

// Shades, most likely first: tokens of at least this probability.
const SHADES = [0.9, 0.6, 0.3, 0.1, 0.02, 0];
const shade = (logprob) => (Number.isFinite(logprob) ? SHADES.findIndex((p) => Math.exp(logprob) >= p) : -1);

export function percent(logprob) {
  const p = 100 * Math.exp(logprob);
  if (p >= 99.95) return '100 %';
  if (p >= 10) return `${p.toFixed(1)} %`;
  return p >= 0.01 ? `${p.toFixed(2)} %` : '< 0.01 %';
}

// A token's text with what cannot be seen made visible.
export function visible(text) {
  if (text === '') return '(empty)';
  return text.replace(/\n/g, '↵').replace(/\t/g, '⇥').replace(/^ +| +$/g, (s) => '·'.repeat(s.length));
}

class Inspector {
  constructor(onfork) {
    this.onfork = onfork;
    this.element = h('div.inspector', { hidden: true, role: 'dialog', 'aria-label': 'Token' });
    this.pinned = false;
    this.element.addEventListener('pointerenter', () => clearTimeout(this.timer));
    this.element.addEventListener('pointerleave', () => this.hideSoon());
    this.element.addEventListener('keydown', (event) => { if (event.key === 'Escape') { event.stopPropagation(); this.hide(true); } });
  }
  show(anchor, token, index, canFork, pin = false) {
    clearTimeout(this.timer);
    this.anchor = anchor;
    this.pinned = pin;
    const options = [...token.a];
    if (!options.some(([id]) => id === token.i)) options.push([token.i, token.t, token.p]);
    const taken = options.find(([id]) => id === token.i);
    replace(this.element,
      h('div.inspector-head', {}, h('code', {}, visible(token.t)), h('span.facts', {}, `id ${token.i} · token ${count(index + 1)}${token.r ? ' · thinking' : ''}${token.forked ? ' · your choice' : ''}`),
        iconButton('close', 'Close', () => this.hide(true))),
      h('div.alternatives', {}, options.map((option) => this.#row(option, option === taken, index, token, canFork))),
      token.a.length ? h('p.facts', {}, this.#rest(options)) : h('p.facts', {}, 'No alternatives were recorded: raise “Alternatives” in the settings.'));
    this.element.hidden = false;
    this.#place(anchor);
  }
  #row([id, text, logprob], taken, index, token, canFork) {
    const bar = h('i.bar');
    bar.style.width = `${Math.max(1, 100 * Math.exp(logprob))}%`;
    const choice = token.a.findIndex(([other]) => other === id);
    const fits = canFork && !taken && choice >= 0;
    return h(`button.alternative${taken ? '.taken' : ''}`, {
      type: 'button', disabled: !fits, title: taken ? 'The token that was taken' : fits ? 'Fork here with this token' : '',
      onclick: () => { this.hide(); this.onfork(index, choice); },
    }, bar, h('code', {}, visible(text)), h('span.p', {}, percent(logprob)), taken ? icon('check') : icon('fork'));
  }
  #rest(options) {
    const left = 1 - options.reduce((sum, [, , logprob]) => sum + Math.exp(logprob), 0);
    return left > 0.0005 ? `All other tokens: ${percent(Math.log(left))}` : 'Nothing else was likely.';
  }
  #place(anchor) {
    const frame = this.element.offsetParent?.getBoundingClientRect();
    if (!frame) return;
    const rect = anchor.getClientRects()[0] || anchor.getBoundingClientRect();
    const left = Math.max(0, Math.min(rect.left - frame.left, frame.width - this.element.offsetWidth));
    const below = rect.bottom + this.element.offsetHeight + 90 < innerHeight || rect.top < this.element.offsetHeight + 60;
    this.element.style.left = `${left}px`;
    this.element.style.top = below ? `${rect.bottom - frame.top + 4}px` : `${rect.top - frame.top - this.element.offsetHeight - 4}px`;
  }
  hideSoon() { if (!this.pinned) this.timer = setTimeout(() => this.hide(), 250); }
  hide(focus) {
    clearTimeout(this.timer);
    this.element.hidden = true;
    this.pinned = false;
    if (focus) this.anchor?.focus();
  }
}

export class TokenView {
  #count = 0;
  #tokens = [];
  constructor(onfork) {
    this.inspector = new Inspector(onfork);
    this.list = h('div.token-list', {
      role: 'group', 'aria-label': 'Tokens', onpointerover: (e) => this.#hover(e), onpointerout: (e) => this.#leave(e), onclick: (e) => this.#open(e.target),
      onkeydown: (e) => this.#key(e), onfocusin: (e) => this.#rove(e.target),
    });
    this.foot = h('div.token-foot');
    this.element = h('div.token-view', {}, this.list, this.inspector.element, this.foot);
  }

  update(node) {
    const tokens = node.tokens || [];
    this.node = node;
    if (tokens !== this.#tokens || tokens.length < this.#count) {
      this.list.replaceChildren();
      this.#count = 0;
      this.#tokens = tokens;
    }
    const fragment = document.createDocumentFragment();
    for (; this.#count < tokens.length; this.#count++) fragment.append(this.#span(tokens[this.#count], this.#count));
    this.list.append(fragment);
    const all = surprise(tokens);
    replace(this.foot, h('span.legend', {}, 'likely', SHADES.map((p, i) => h(`i.shade-${i}`, { title: i ? `${100 * p} % to ${100 * SHADES[i - 1]} %` : `${100 * p} % and more` })), 'unlikely'),
      h('span.facts', {}, all ? `${count(all.tokens)} tokens · perplexity ${all.perplexity.toFixed(2)}` : 'No tokens were recorded for this answer.'));
  }

  #span(token, index) {
    const classes = ['token', `shade-${shade(token.p)}`];
    if (token.r) classes.push('in-thinking');
    if (token.forked) classes.push('forked');
    if (isControl(token.t)) classes.push('control');
    const span = h(`span.${classes.join('.')}`, { tabindex: index ? -1 : 0, data: { index }, 'aria-label': `${visible(token.t)}, ${percent(token.p)}` },
      token.t.replace(/\n/g, '↵\n'));
    return span;
  }

  #of(target) {
    const span = target.closest?.('.token');
    return span ? { span, index: Number(span.dataset.index) } : null;
  }
  #show(target, pin) {
    const found = this.#of(target);
    if (found) this.inspector.show(found.span, this.node.tokens[found.index], found.index, this.node.status !== 'streaming', pin);
    return found;
  }
  #hover(event) { if (event.pointerType !== 'touch' && !this.inspector.pinned) this.#show(event.target, false); }
  #leave(event) { if (event.pointerType !== 'touch') this.inspector.hideSoon(); }
  #open(target) { if (this.#show(target, true)) this.#rove(target); }
  #rove(target) {
    const found = this.#of(target);
    if (!found) return;
    this.list.querySelector('[tabindex="0"]')?.setAttribute('tabindex', '-1');
    found.span.setAttribute('tabindex', '0');
  }
  #key(event) {
    const found = this.#of(event.target);
    if (!found) return;
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step) {
      this.list.querySelector(`[data-index="${found.index + step}"]`)?.focus();
    } else if (event.key === 'Enter' || event.key === ' ') {
      this.#show(event.target, true);
      this.inspector.element.querySelector('.alternative:not([disabled])')?.focus();
    } else return;
    event.preventDefault();
  }
}
