// The line above the conversation: list switch, title, model, side-by-side, settings.

import { h, icon, iconButton, replace, byId } from './dom.js';
import { state, on, modelOf } from './state.js';

export class TopBar {
  constructor(actions) {
    this.actions = actions;
    this.title = h('button.title', { type: 'button', title: 'Rename', onclick: () => { if (state.conversation.nodes.size) actions.rename(state.conversation.id); } });
    this.model = h('select.model', { 'aria-label': 'Model', onchange: () => actions.change({ model: this.model.value }) });
    this.compare = h('button.button.quiet.compare', { type: 'button', title: 'Two settings on one seed (Alt+S)', onclick: () => actions.toggleCompare() }, icon('columns'), h('span', {}, 'Side by side'));
    byId('topbar').append(iconButton('menu', 'Conversations (Ctrl+B)', () => actions.toggleSidebar(), '.open-list'), this.title, h('span.spring'), this.model, this.compare,
      iconButton('plus', 'New conversation', () => actions.newConversation(), '.new-here'), iconButton('sliders', 'Settings (Ctrl+,)', () => actions.toggleSettings(), '.open-settings'));
    for (const event of ['conversation', 'models', 'settings', 'list', 'path']) on(event, () => this.draw());
  }

  draw() {
    const { title, settings } = state.conversation;
    this.title.textContent = title || 'New conversation';
    const chosen = modelOf(settings)?.id;
    replace(this.model, state.models.map((m) => h('option', { value: m.id, selected: m.id === chosen }, m.id)));
    this.model.hidden = !state.models.length;
    this.compare.classList.toggle('on', settings.compare);
    this.compare.setAttribute('aria-pressed', settings.compare);
  }
}
