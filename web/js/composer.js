// Where the user writes: text, attachments (button, drop, paste), the thinking switch, send and stop, and under it the context
// bar with the speed. Drafts are kept per conversation until they are sent.

import { h, icon, iconButton, replace, byId, count } from './dom.js';
import { state, on, isRunning, modelOf } from './state.js';
import { shownPath } from './tree.js';
import { contextUse, rate } from './answer.js';
import { obstacle } from './generate.js';
import { LONG_PASTE, readTextFile, pastedName, attachmentChip } from './attach.js';
import { toast } from './dialog.js';

const THINKING = [['auto', 'Auto', 'The model decides'], ['on', 'On', 'Think before answering'], ['off', 'Off', 'Answer at once']];

export class Composer {
  #drafts = new Map();  // conversation id -> {text, attachments}
  #attachments = [];
  #shown = '';

  constructor(actions) {
    this.actions = actions;
    this.text = h('textarea.composer-text', {
      id: 'composer-text', rows: 1, placeholder: 'Write a message', 'aria-label': 'Message', autocomplete: 'off',
      oninput: () => this.#resize(), onkeydown: (event) => this.#key(event), onpaste: (event) => this.#paste(event),
    });
    this.chips = h('div.chips', { hidden: true });
    this.file = h('input', { type: 'file', multiple: true, hidden: true, onchange: () => { this.attach([...this.file.files]); this.file.value = ''; } });
    this.thinking = h('div.segmented', { role: 'radiogroup', 'aria-label': 'Thinking' });
    this.send = h('button.send', { type: 'button' });
    this.bar = h('span.context-bar', {}, h('i.cached'), h('i.used'));
    this.context = h('span.context', { role: 'meter', 'aria-label': 'Context used', 'aria-valuemin': 0 }, this.bar, this.label = h('span.context-label'));
    this.speed = h('span.speed');
    byId('composer').append(h('div.composer-box', {}, this.chips, this.text,
      h('div.composer-row', {}, iconButton('clip', 'Attach text files', () => this.file.click()), this.thinking, h('span.spring'), this.send), this.file),
    h('div.status-line', {}, this.context, h('span.spring'), this.speed));
    this.#acceptDrops();
    on('conversation', () => this.#switch());
    on('settings', () => { this.#drawThinking(); this.#drawStatus(); });
    on('models', () => { this.#drawThinking(); this.#drawStatus(); });
    on('running', () => { this.#drawSend(); this.#drawStatus(); });
    on('path', () => this.#drawStatus());
    on('node', () => this.#drawStatus());
  }

  focus() { this.text.focus(); }
  setText(text) { this.text.value = text; this.#resize(); this.focus(); }

  #switch() {
    if (this.#shown) this.#drafts.set(this.#shown, { text: this.text.value, attachments: this.#attachments });
    this.#shown = state.conversation.id;
    const draft = this.#drafts.get(this.#shown) || { text: '', attachments: [] };
    this.text.value = draft.text;
    this.#attachments = draft.attachments;
    this.#drawChips();
    this.#resize();
    this.#drawThinking();
    this.#drawSend();
    this.#drawStatus();
  }

  #resize() {
    this.text.style.height = 'auto';
    this.text.style.height = `${Math.min(this.text.scrollHeight, innerHeight * 0.4)}px`;
    this.#drawSend();
  }

  #key(event) {
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    this.submit();
  }

  submit() {
    const text = this.text.value.trim();
    if (!text && !this.#attachments.length) return;
    const why = obstacle(state.conversation);
    if (why) {
      toast(why);
      return;
    }
    const attachments = this.#attachments;
    this.text.value = '';
    this.#attachments = [];
    this.#drawChips();
    this.#resize();
    this.actions.ask(text, attachments);
  }

  #paste(event) {
    const files = [...(event.clipboardData?.files || [])];
    const text = event.clipboardData?.getData('text/plain') || '';
    if (files.length) this.attach(files);
    else if (text.length > LONG_PASTE) this.#add({ name: pastedName(this.#attachments), text });
    else return;
    event.preventDefault();
  }

  async attach(files) {
    for (const file of files) {
      try {
        this.#add(await readTextFile(file));
      } catch (error) {
        toast(error.message);
      }
    }
  }

  #add(attachment) {
    this.#attachments = [...this.#attachments, attachment];
    this.#drawChips();
    this.#drawSend();
  }

  #acceptDrops() {
    const box = byId('app');
    const has = (event) => event.dataTransfer?.types.includes('Files');
    box.addEventListener('dragover', (event) => { if (has(event)) { event.preventDefault(); box.classList.add('dropping'); } });
    box.addEventListener('dragleave', (event) => { if (!box.contains(event.relatedTarget)) box.classList.remove('dropping'); });
    box.addEventListener('drop', (event) => {
      box.classList.remove('dropping');
      if (!has(event)) return;
      event.preventDefault();
      this.attach([...event.dataTransfer.files]);
    });
  }

  #drawChips() {
    this.chips.hidden = !this.#attachments.length;
    replace(this.chips, this.#attachments.map((a) => attachmentChip(a, () => { this.#attachments = this.#attachments.filter((x) => x !== a); this.#drawChips(); this.#drawSend(); })));
  }

  #drawThinking() {
    const { settings } = state.conversation;
    const kind = modelOf(settings)?.meta?.thinking;
    this.thinking.hidden = kind === 'never' || kind === 'always';
    replace(this.thinking, h('span.segmented-label', {}, icon('think'), h('span', {}, 'Thinking')), THINKING.map(([value, label, about]) =>
      h(`button${settings.thinking === value ? '.on' : ''}`, { type: 'button', role: 'radio', title: about, 'aria-checked': settings.thinking === value, data: { thinking: value }, onclick: () => this.actions.change({ thinking: value }) }, label)));
  }

  #drawSend() {
    const running = isRunning(state.conversation);
    const empty = !this.text.value.trim() && !this.#attachments.length;
    if (this.send.dataset.key !== String(running)) {
      this.send.dataset.key = String(running);
      const label = running ? 'Stop (Esc)' : 'Send (Enter)';
      this.send.title = label;
      this.send.setAttribute('aria-label', label);
      this.send.classList.toggle('stopping', running);
      this.send.onclick = () => (running ? this.actions.stop() : this.submit());
      replace(this.send, icon(running ? 'stop' : 'send'));
    }
    this.send.disabled = !running && empty;
  }

  #drawStatus() {
    const last = shownPath(state.conversation).findLast((n) => n.role === 'assistant' && (n.usage || n.tokens?.length || n.progress));
    const limit = modelOf(state.conversation.settings)?.meta?.context || 0;
    const { used, cached, prompt } = last ? contextUse(last) : { used: 0, cached: 0, prompt: 0 };
    this.context.hidden = !limit && !used;
    const share = (n) => `${limit ? Math.min(100, (100 * n) / limit) : 0}%`;
    this.bar.children[0].style.width = share(Math.min(cached, used));
    this.bar.children[1].style.width = share(Math.max(0, used - cached));
    this.bar.classList.toggle('tight', limit > 0 && used > 0.85 * limit);
    this.context.setAttribute('aria-valuenow', used);
    this.context.setAttribute('aria-valuemax', limit);
    this.label.textContent = `${count(used)}${limit ? ` / ${count(limit)}` : ''}${prompt && cached ? ` · ${Math.round((100 * cached) / prompt)} % cached` : ''}`;
    const speed = last ? rate(last) : null;
    this.speed.textContent = last?.status === 'streaming' && !last.fresh && last.progress ? 'reading the prompt'
      : speed ? `${speed < 10 ? speed.toFixed(1) : count(Math.round(speed))} tok/s` : '';
    this.speed.classList.toggle('live', last?.status === 'streaming');
  }
}
