// The list of conversations: new, search, rename, delete with undo, export, import; and the page's own switches.

import { h, icon, iconButton, replace, byId } from './dom.js';
import { state, on } from './state.js';
import { openMenu } from './dialog.js';

const DAY = 86400000;

function groupOf(time, today) {
  if (time >= today) return 'Today';
  if (time >= today - DAY) return 'Yesterday';
  if (time >= today - 7 * DAY) return 'This week';
  return new Date(time).toLocaleDateString(undefined, { month: 'long', year: 'numeric' });
}

export class Sidebar {
  #hits = null;
  #timer = 0;

  constructor(actions) {
    this.actions = actions;
    this.search = h('input.search', { type: 'search', placeholder: 'Search', 'aria-label': 'Search conversations', oninput: () => this.#searchSoon(), onkeydown: (e) => this.#searchKey(e) });
    this.list = h('div.conversations');
    this.file = h('input', { type: 'file', accept: '.json,application/json', hidden: true, onchange: () => { if (this.file.files[0]) actions.importFile(this.file.files[0]); this.file.value = ''; } });
    this.themeButton = iconButton('auto', 'Colours', () => actions.nextTheme());
    byId('sidebar').append(
      h('div.brand', {}, h('img', { src: 'ui/icon.svg', alt: '', width: 26, height: 26 }), h('b', {}, 'bantam'), h('span.spring'), iconButton('menu', 'Hide the list (Ctrl+B)', () => actions.toggleSidebar())),
      h('button.button.new', { type: 'button', title: 'New conversation (Ctrl+Shift+O)', onclick: () => actions.newConversation() }, icon('plus'), 'New conversation'),
      h('label.search-box', {}, icon('search'), this.search, h('kbd', {}, 'Ctrl K')),
      this.list,
      h('div.sidebar-foot', {}, this.themeButton, iconButton('key', 'API key', () => actions.askKey()), iconButton('load', 'Import conversations', () => this.file.click()),
        iconButton('save', 'Export all conversations', () => actions.exportAll()), h('span.spring'), iconButton('help', 'Keyboard shortcuts (?)', () => actions.help()), this.file));
    on('list', () => this.refresh());
    on('conversation', () => this.draw());
    on('running', () => this.draw());
    this.drawTheme();
  }

  drawTheme() {
    const choice = window.bantamTheme.get();
    replace(this.themeButton, icon({ light: 'sun', dark: 'moon', system: 'auto' }[choice]));
    const label = `Colours: ${choice}`;
    this.themeButton.title = label;
    this.themeButton.setAttribute('aria-label', label);
  }

  async refresh() {
    state.metas = await state.store.list();
    await this.#find();
  }

  async #find() {
    const words = this.search.value.trim();
    const hits = words ? await state.store.search(words) : null;
    if (words !== this.search.value.trim()) return;  // typed on meanwhile
    this.#hits = hits;
    this.draw();
  }

  #searchSoon() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#find(), 120);
  }
  #searchKey(event) {
    if (event.key === 'Escape') { this.search.value = ''; this.#hits = null; this.draw(); }
    else if (event.key === 'Enter') this.list.querySelector('.conversation-open')?.click();
    else return;
    event.stopPropagation();
  }

  draw() {
    const shown = state.metas.filter((m) => !this.#hits || this.#hits.has(m.id));
    const today = new Date().setHours(0, 0, 0, 0);
    const rows = [];
    let group = '';
    for (const meta of shown) {
      const own = groupOf(meta.updated, today);
      if (own !== group) rows.push(h('h2', {}, group = own));
      rows.push(this.#row(meta));
    }
    if (!rows.length) rows.push(h('p.nothing', {}, this.#hits ? 'Nothing found.' : 'Conversations stay in this browser.'));
    replace(this.list, rows);
  }

  #row(meta) {
    const here = meta.id === state.conversation?.id;
    const more = iconButton('more', `More for ${meta.title}`, () => openMenu(more, [
      ['Rename', icon('edit'), () => this.actions.rename(meta.id)],
      ['Export as JSON', icon('save'), () => this.actions.exportOne(meta.id, 'json')],
      ['Export as Markdown', icon('file'), () => this.actions.exportOne(meta.id, 'md')],
      ['Delete', icon('trash'), () => this.actions.removeConversation(meta.id), true],
    ]));
    return h(`div.conversation${here ? '.here' : ''}`, { data: { id: meta.id } },
      h('button.conversation-open', { type: 'button', 'aria-current': here ? 'page' : null, title: meta.title, onclick: () => this.actions.open(meta.id), ondblclick: () => this.actions.rename(meta.id) }, meta.title || 'Untitled'), more);
  }
}
