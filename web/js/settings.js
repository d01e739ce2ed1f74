// The settings of the shown conversation: model, system prompt, thinking, sampling, tools. An empty field means the model's own
// value, which is shown as its placeholder. With side-by-side on there are two tabs; an empty field of B means what A has.

import { h, icon, iconButton, replace, byId } from './dom.js';
import { state, on, modelOf, preference } from './state.js';
import { SAMPLING, settingsOf, modelDefaults, parseTools } from './request.js';
import { toast } from './dialog.js';

const INTEGERS = [
  { key: 'max_tokens', label: 'Most tokens', min: 1, max: 1000000, about: 'Where an answer is cut off; empty: the room the context has left.' },
  { key: 'seed', label: 'Seed', min: 0, max: 4294967295, about: 'The same seed and settings give the same answer. Empty: a new one each time.' },
  { key: 'alternatives', label: 'Alternatives', min: 0, max: 20, about: 'How many alternatives per token the token view records.' },
];

export class Settings {
  #column = 'A';

  constructor(actions) {
    this.actions = actions;
    this.panel = byId('settings');
    on('conversation', () => this.draw());
    on('models', () => this.draw());
    on('settings', (changed) => { if (changed !== 'typing') this.draw(); });
  }

  get #settings() { return state.conversation.settings; }
  #own() { return this.#column === 'B' ? this.#settings.b : this.#settings; }
  #change(patch, how) { this.actions.change(patch, this.#column, how); }

  draw() {
    if (this.panel.hidden) return;
    const { compare } = this.#settings;
    if (!compare) this.#column = 'A';
    const whole = settingsOf(this.#settings, this.#column);
    const model = modelOf(whole);
    const defaults = this.#column === 'B' ? { ...modelDefaults(model, whole), ...this.#filled(this.#settings) } : modelDefaults(model, whole);
    const focus = this.panel.contains(document.activeElement) ? document.activeElement.dataset.field : '';
    const scroll = this.panel.querySelector('.settings-body')?.scrollTop || 0;
    replace(this.panel,
      h('header.settings-head', {}, h('h2', {}, 'Settings'), h('span.spring'), iconButton('close', 'Close the settings', () => this.actions.toggleSettings())),
      compare && this.#tabs(),
      h('div.settings-body', {},
        this.#modelField(), this.#textField('system', 'System prompt', 'Instructions that stand before everything', 4),
        h('h3', {}, 'Thinking'), this.#thinkingField(whole, model),
        h('h3', {}, 'Sampling'), SAMPLING.map((field) => this.#slider(field, defaults)), INTEGERS.map((field) => this.#integer(field, defaults)),
        h('h3', {}, 'Tools'), this.#textField('tools', 'Functions', 'A JSON array of functions the model may call. Calls are shown; you give the results.', 3, '.mono'), this.#toolsProblem(),
        h('div.settings-actions', {}, h('button.button', { type: 'button', onclick: () => this.#clear() }, this.#column === 'B' ? 'Same as A' : 'Back to the model’s values'),
          this.#column === 'A' && h('button.button', { type: 'button', onclick: () => this.#keep() }, 'Use for new conversations'))));
    this.panel.querySelector('.settings-body').scrollTop = scroll;
    if (focus) this.panel.querySelector(`[data-field="${focus}"]`)?.focus();
  }

  #filled(settings) { return Object.fromEntries(Object.entries(settings).filter(([, v]) => v !== null && v !== '')); }

  #tabs() {
    return h('div.tabs', { role: 'tablist' }, ['A', 'B'].map((column) => h(`button.tab.${column.toLowerCase()}${this.#column === column ? '.on' : ''}`, {
      type: 'button', role: 'tab', 'aria-selected': this.#column === column, data: { field: `tab-${column}` }, onclick: () => { this.#column = column; this.draw(); },
    }, h(`span.column-mark.${column.toLowerCase()}`, {}, column), column === 'A' ? 'Left' : 'Right')));
  }

  #modelField() {
    const own = this.#own().model || '';
    const first = this.#column === 'B' ? [h('option', { value: '', selected: !own }, 'Same as A')] : [];
    const chosen = own || (this.#column === 'A' ? modelOf(this.#settings)?.id : '');
    const options = state.models.map((m) => h('option', { value: m.id, selected: m.id === chosen }, m.id));
    if (own && !state.models.some((m) => m.id === own)) options.push(h('option', { value: own, selected: true, disabled: true }, `${own} (not served)`));
    return this.#labelled('Model', '', h('select.field', { data: { field: 'model' }, 'aria-label': 'Model', onchange: (e) => this.#change({ model: e.target.value }) }, first, options));
  }

  #thinkingField(whole, model) {
    const kind = model?.meta?.thinking;
    if (kind === 'never') return h('p.facts', {}, 'This model does not think before it answers.');
    const own = this.#own().thinking ?? '';
    const choices = [...(this.#column === 'B' ? [['', 'As A']] : []), ['auto', 'Auto'], ['on', 'On'], ['off', 'Off']];
    return [kind === 'always' ? h('p.facts', {}, 'This model always thinks before it answers.')
      : h('div.segmented.wide', { role: 'radiogroup', 'aria-label': 'Thinking' }, choices.map(([value, label]) =>
        h(`button${own === value ? '.on' : ''}`, { type: 'button', role: 'radio', 'aria-checked': own === value, data: { field: `thinking-${value}` }, onclick: () => this.#change({ thinking: value || null }) }, label))),
    whole.thinking !== 'off' && this.#integer({ key: 'thinking_budget', label: 'Budget', min: 0, max: 1000000, about: 'Tokens of thinking after which the model is led to its answer.' }, {}, 'no limit')];
  }

  #slider({ key, label, min, max, step, about }, defaults) {
    const own = this.#own()[key] ?? null;
    const fallback = defaults[key];
    const number = h('input.number', { type: 'number', min, max, step, value: own ?? '', placeholder: fallback ?? 'default', data: { field: key }, 'aria-label': label });
    const range = h('input.range', { type: 'range', min, max, step, value: own ?? fallback ?? min, 'aria-label': `${label} slider`, tabindex: -1 });
    const row = h(`div.setting${own === null ? '.unset' : ''}`, { title: about }, h('label', {}, h('span', {}, label), number), range);
    const set = (value) => {
      row.classList.toggle('unset', value === null);
      this.#change({ [key]: value }, 'typing');
    };
    range.addEventListener('input', () => { number.value = range.value; set(Number(range.value)); });
    number.addEventListener('input', () => {
      const value = number.value === '' ? null : Math.min(max, Math.max(min, Number(number.value)));
      range.value = value ?? fallback ?? min;
      set(value);
    });
    number.addEventListener('change', () => { if (number.value !== '') number.value = range.value; });
    return row;
  }

  #integer({ key, label, min, max, about }, defaults, placeholder) {
    const own = this.#own()[key] ?? null;
    const number = h('input.number', { type: 'number', min, max, step: 1, value: own ?? '', placeholder: placeholder ?? defaults[key] ?? (key === 'seed' ? 'random' : 'no limit'), data: { field: key }, 'aria-label': label });
    number.addEventListener('input', () => this.#change({ [key]: number.value === '' ? null : Math.min(max, Math.max(min, Math.trunc(Number(number.value)))) }, 'typing'));
    return h(`div.setting${own === null ? '.unset' : ''}`, { title: about }, h('label', {}, h('span', {}, label), number));
  }

  #textField(key, label, placeholder, rows, extra = '') {
    const area = h(`textarea.field${extra}`, { rows, placeholder: this.#column === 'B' && this.#settings[key] ? `Same as A: ${this.#settings[key].slice(0, 80)}` : placeholder, value: this.#own()[key] || '', data: { field: key }, 'aria-label': label, spellcheck: key !== 'tools' });
    area.addEventListener('input', () => this.#change({ [key]: area.value }, 'typing'));
    if (key === 'tools') area.addEventListener('change', () => this.draw());
    return this.#labelled(label, '', area);
  }

  #labelled(label, about, field) { return h('label.stacked', { title: about || null }, h('span', {}, label), field); }

  #toolsProblem() {
    const tools = parseTools(settingsOf(this.#settings, this.#column).tools || '');
    if (tools instanceof Error) return h('p.problem', { role: 'alert' }, tools.message);
    return tools.length ? h('p.facts', {}, `${tools.length} function${tools.length > 1 ? 's' : ''}: ${tools.map((t) => t.function.name).join(', ')}`) : null;
  }

  #clear() {
    const keys = [...SAMPLING, ...INTEGERS].map((f) => f.key);
    if (this.#column === 'B') keys.push('model', 'system', 'thinking', 'tools');
    this.actions.change(Object.fromEntries([...keys, 'thinking_budget'].map((k) => [k, k === 'alternatives' && this.#column === 'A' ? 5 : null])), this.#column);
  }

  #keep() {
    preference.set('defaults', { ...this.#settings, compare: false, b: {} });
    toast('New conversations begin with these settings.');
  }

  toggle(open = this.panel.hidden) {
    this.panel.hidden = !open;
    if (open) this.draw();
    return open;
  }
}
