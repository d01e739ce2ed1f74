// The start of the page and everything the user can do: opens the store, makes the views and hands them `actions`, the one
// object through which they change anything.

import { h, replace, byId, download } from './dom.js';
import { state, on, emit, isRunning, preference, startSettings } from './state.js';
import { Store } from './store.js';
import * as tree from './tree.js';
import * as generate from './generate.js';
import { fetchModels, isAlive, host } from './api.js';
import { toFile, toMarkdown, fromFile } from './transfer.js';
import { askText, toast } from './dialog.js';
import { askKey } from './key.js';
import { Sidebar } from './sidebar.js';
import { Thread } from './thread.js';
import { Composer } from './composer.js';
import { Settings } from './settings.js';
import { TopBar } from './topbar.js';
import { listen, showHelp } from './keys.js';

const PHONE = matchMedia('(max-width: 760px)');
const views = {};

function show(conversation) {
  state.conversation = conversation;
  preference.set('shown', conversation.id);
  emit('conversation');
  document.title = conversation.title ? `${conversation.title} · bantam` : 'bantam';
}

const fileName = (title) => (title || 'conversation').replace(/[^\p{L}\p{N}]+/gu, '-').replace(/^-|-$/g, '').slice(0, 50) || 'conversation';

async function loadModels() {
  try {
    state.models = await fetchModels();
    emit('alive', true);
  } catch (error) {
    if (error.kind === 'auth') return actions.askKey();
    if (error.kind === 'gone' || error.kind === 'loading') emit('alive', false);
    else toast(error.message);
  }
  return emit('models');
}

// A conversation's object stays the same while it runs, so that a switch away and back finds the live one.
const live = new Map();

const actions = {
  async open(id) {
    if (PHONE.matches) actions.toggleSidebar(false);
    if (id === state.conversation?.id) return;
    const conversation = live.get(id) || await state.store.load(id);
    if (!conversation) return actions.newConversation();
    live.set(id, conversation);
    for (const [other, kept] of live) if (other !== id && !isRunning(kept)) live.delete(other);
    show(conversation);
  },
  newConversation() {
    if (PHONE.matches) actions.toggleSidebar(false);
    const conversation = tree.newConversation({ ...startSettings() });
    live.set(conversation.id, conversation);
    show(conversation);
    views.composer.focus();
  },
  async rename(id) {
    const conversation = live.get(id) || await state.store.load(id);
    const title = await askText('Rename the conversation', conversation.title);
    if (!title) return;
    conversation.title = title;
    await generate.save(conversation);
    if (id === state.conversation.id) show(state.conversation);
  },
  async removeConversation(id) {
    const conversation = live.get(id) || await state.store.load(id);
    generate.stop(conversation);
    await state.store.removeConversation(id);
    live.delete(id);
    if (id === state.conversation.id) actions.newConversation();
    emit('list');
    toast(`Deleted “${conversation.title}”.`, 'Undo', async () => {
      await generate.save(conversation, [...conversation.nodes.values()]);
      live.set(id, conversation);
      show(conversation);
    });
  },
  async exportOne(id, kind) {
    const conversation = live.get(id) || await state.store.load(id);
    if (kind === 'md') download(`${fileName(conversation.title)}.md`, toMarkdown(conversation), 'text/markdown');
    else download(`${fileName(conversation.title)}.json`, toFile([conversation]));
  },
  async exportAll() {
    const all = await state.store.exportAll();
    if (!all.length) return toast('There is nothing to export yet.');
    return download(`bantam-${new Date().toISOString().slice(0, 10)}.json`, toFile(all));
  },
  async importFile(file) {
    try {
      const conversations = fromFile(await file.text());
      await state.store.importAll(conversations);
      emit('list');
      toast(`Imported ${conversations.length} conversation${conversations.length === 1 ? '' : 's'}.`);
    } catch (error) {
      toast(error.message);
    }
  },

  ask(text, attachments) {
    const leaf = tree.shownPath(state.conversation).at(-1);
    generate.ask(state.conversation, leaf?.id || '', text, attachments);
    document.title = `${state.conversation.title} · bantam`;
  },
  regenerate: (node) => actions.unlessBusy(() => generate.regenerate(state.conversation, node)),
  retry(node) {
    actions.unlessBusy(() => {
      if (!node.content && !node.reasoning && !node.tokens?.length) tree.remove(state.conversation, node).forEach((gone) => state.store.backend.erase([], [gone.id]));
      generate.regenerate(state.conversation, node);
    });
  },
  continueAnswer: (node) => actions.unlessBusy(() => generate.continueAnswer(state.conversation, node)),
  fork: (node, index, choice) => actions.unlessBusy(async () => {
    const running = generate.fork(state.conversation, node, index, choice);
    const shown = tree.shownChild(state.conversation, node.parent);
    views.thread.view(shown.id)?.setMode('tokens');
    await running;
  }),
  giveToolResults: (node, results) => actions.unlessBusy(() => generate.giveToolResults(state.conversation, node, results)),
  unlessBusy(action) {
    const why = generate.obstacle(state.conversation);
    if (why) toast(why);
    else action();
  },
  async saveEdit(node, text, goOn) {
    if (node.role === 'user') {
      if (text.trim() || node.attachments?.length) generate.ask(state.conversation, node.parent, text.trim(), node.attachments || []);
      return;
    }
    const branch = await generate.saveEdited(state.conversation, node, text);
    if (goOn) generate.continueAnswer(state.conversation, branch);
  },
  async remove(node) {
    const conversation = state.conversation;
    const removed = tree.remove(conversation, node);
    emit('path');
    await state.store.removeNodes(conversation, removed);
    emit('list');
    toast(removed.length > 1 ? `Deleted ${removed.length} messages.` : 'Deleted a message.', 'Undo', async () => {
      tree.restore(conversation, removed);
      await generate.save(conversation, removed);
      if (conversation === state.conversation) emit('path');
    });
  },
  show(node) {
    tree.select(state.conversation, node);
    generate.save(state.conversation);
    emit('path');
  },
  step: (node, by) => actions.show(tree.sibling(state.conversation, node, by)),
  stop() {
    if (!isRunning(state.conversation)) return false;
    generate.stop(state.conversation);
    return true;
  },

  change(patch, column = 'A', how = '') {
    const { settings } = state.conversation;
    if (column === 'B') settings.b = { ...settings.b, ...patch };
    else Object.assign(settings, patch);
    if (state.conversation.nodes.size) state.store.save(state.conversation).catch(() => {});
    emit('settings', how);
  },
  toggleCompare() {
    const compare = !state.conversation.settings.compare;
    actions.change({ compare });
    if (compare && !PHONE.matches) actions.toggleSettings(true);
  },
  nextThinking() {
    const order = ['auto', 'on', 'off'];
    actions.change({ thinking: order[(order.indexOf(state.conversation.settings.thinking) + 1) % 3] });
  },
  nextTheme() {
    const order = ['system', 'light', 'dark'];
    window.bantamTheme.set(order[(order.indexOf(window.bantamTheme.get()) + 1) % 3]);
    views.sidebar.drawTheme();
  },
  async askKey() {
    if (await askKey()) loadModels();
  },

  toggleSidebar(open = !byId('app').classList.contains('with-sidebar')) {
    byId('app').classList.toggle('with-sidebar', open);
    if (!PHONE.matches) preference.set('sidebar', open);
    actions.shade();
  },
  toggleSettings(open) {
    const now = views.settings.toggle(open);
    byId('app').classList.toggle('with-settings', now);
    if (!PHONE.matches) preference.set('settingsOpen', now);
    actions.shade();
  },
  shade() {
    byId('scrim').hidden = !(PHONE.matches && (byId('app').classList.contains('with-sidebar') || !byId('settings').hidden));
  },
  search() {
    actions.toggleSidebar(true);
    views.sidebar.search.focus();
    views.sidebar.search.select();
  },
  help: showHelp,
  suggest: (text) => views.composer.setText(text),
  focusComposer: () => views.composer.focus(),
  regenerateLast: () => actions.onLast('assistant', (view) => actions.regenerate(view.node)),
  continueLast: () => actions.onLast('assistant', (view) => actions.continueAnswer(view.node)),
  editLast: () => actions.onLast('user', (view) => view.edit()),
  tokensLast: () => actions.onLast('assistant', (view) => view.setMode('tokens')),
  previousBranch: () => actions.onLast('assistant', (view) => actions.step(view.node, -1)),
  nextBranch: () => actions.onLast('assistant', (view) => actions.step(view.node, 1)),
  onLast(role, action) {
    const view = views.thread.last(role);
    return view ? action(view) : undefined;
  },
};

// A line above the conversation while the server is away; asks until it is back.
function watchServer() {
  let timer = 0;
  const look = async () => {
    if (await isAlive()) return loadModels();
    timer = setTimeout(look, 3000);
    return undefined;
  };
  on('alive', (alive) => {
    clearTimeout(timer);
    state.alive = alive;
    byId('notice').hidden = alive;
    if (alive) return;
    replace(byId('notice'), h('span.pulse'), `No answer from ${host}; looking for it…`);
    timer = setTimeout(look, 3000);
  });
}

async function start() {
  state.store = await Store.open();
  state.conversation = tree.newConversation(startSettings());
  views.thread = new Thread(actions);
  views.composer = new Composer(actions);
  views.settings = new Settings(actions);
  views.sidebar = new Sidebar(actions);
  views.topbar = new TopBar(actions);
  byId('scrim').addEventListener('click', () => { actions.toggleSidebar(false); actions.toggleSettings(false); });
  PHONE.addEventListener('change', () => { actions.toggleSidebar(!PHONE.matches && preference.get('sidebar', true)); });
  actions.toggleSidebar(!PHONE.matches && preference.get('sidebar', true));
  actions.toggleSettings(!PHONE.matches && preference.get('settingsOpen', false));
  listen(actions);
  watchServer();
  on('auth', () => actions.askKey());
  on('unsaved', () => toast('This browser could not save the conversation: its storage is full or closed to this page.'));
  state.store.onOutsideChange(async (id) => {
    await views.sidebar.refresh();
    if (id !== state.conversation.id || isRunning(state.conversation)) return;
    const changed = await state.store.load(id);
    if (changed) { live.set(id, changed); show(changed); }
  });
  if (!state.store.persistent) toast('This browser keeps no data for this page: conversations last until it is closed.');
  await views.sidebar.refresh();
  const last = await state.store.load(preference.get('shown', ''));
  if (last) live.set(last.id, last);
  show(last || state.conversation);
  await loadModels();
  document.documentElement.dataset.ready = 'true';
  if (!PHONE.matches) views.composer.focus();
}

start();
