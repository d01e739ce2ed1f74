// The tree of messages of one conversation: pure functions over plain data, no DOM, no storage.
// A conversation is {id, title, created, updated, settings, selected, nodes}. `nodes` is a Map from id to node
// {id, conversation, parent, order, role, content, ...}; the parent of a first message is ''. `selected` maps a parent id to the
// child that is shown. Invariant: every node's parent is '' or in `nodes`; `order` grows with creation.

export const newId = () => Array.from(crypto.getRandomValues(new Uint8Array(12)), (b) => b.toString(16).padStart(2, '0')).join('');

export function newConversation(settings) {
  const now = Date.now();
  return { id: newId(), title: '', created: now, updated: now, settings, selected: {}, nodes: new Map() };
}

export function children(conversation, parent) {
  return [...conversation.nodes.values()].filter((n) => n.parent === parent).sort((a, b) => a.order - b.order);
}

export function addNode(conversation, parent, fields) {
  let order = 0;
  for (const node of conversation.nodes.values()) order = Math.max(order, node.order + 1);
  const node = { content: '', ...fields, id: newId(), conversation: conversation.id, parent, order, created: Date.now() };
  conversation.nodes.set(node.id, node);
  conversation.selected[parent] = node.id;
  conversation.updated = node.created;
  return node;
}

// The shown child of `parent`: the selected one, else the newest.
export function shownChild(conversation, parent) {
  const chosen = conversation.nodes.get(conversation.selected[parent]);
  if (chosen && chosen.parent === parent) return chosen;
  return children(conversation, parent).at(-1);
}

// The messages on screen, first to last.
export function shownPath(conversation) {
  const path = [];
  for (let node = shownChild(conversation, ''); node; node = shownChild(conversation, node.id)) path.push(node);
  return path;
}

// The messages before and including `node`.
export function pathTo(conversation, node) {
  const path = [];
  for (let at = node; at; at = conversation.nodes.get(at.parent)) path.unshift(at);
  return path;
}

export const siblings = (conversation, node) => children(conversation, node.parent);

// Shows `node`: selects it and each of its ancestors.
export function select(conversation, node) {
  for (let at = node; at; at = conversation.nodes.get(at.parent)) conversation.selected[at.parent] = at.id;
}

// The sibling `step` places away, round the end; the node itself when it is alone.
export function sibling(conversation, node, step) {
  const all = siblings(conversation, node);
  return all[(all.indexOf(node) + step + all.length) % all.length];
}

export function subtree(conversation, node) {
  const found = [node];
  for (let i = 0; i < found.length; i++) found.push(...children(conversation, found[i].id));
  return found;
}

// Removes `node` with all that follows it; the nearest sibling is shown in its place. Returns the removed nodes.
export function remove(conversation, node) {
  const all = siblings(conversation, node);
  const next = all[all.indexOf(node) + 1] || all[all.indexOf(node) - 1];
  const removed = subtree(conversation, node);
  for (const gone of removed) {
    conversation.nodes.delete(gone.id);
    delete conversation.selected[gone.id];
  }
  if (next) conversation.selected[node.parent] = next.id;
  else delete conversation.selected[node.parent];
  return removed;
}

export function restore(conversation, nodes) {
  for (const node of nodes) conversation.nodes.set(node.id, node);
  select(conversation, nodes[0]);
}

// A title from the first thing the user wrote.
export function titleFrom(text) {
  const line = text.trim().split('\n')[0].replace(/\s+/g, ' ').trim();
  const characters = Array.from(line);
  return characters.length > 60 ? `${characters.slice(0, 57).join('')}…` : line || 'Untitled';
}
