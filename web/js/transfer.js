// Export and import of conversations. A file is {"format": "bantam-conversations", "version": 1, "conversations": [...]}; what is
// read back is checked field by field, since a file may come from anywhere. Pure functions.

import { cleanSettings, withAttachments } from './request.js';
import { shownPath } from './tree.js';

export function toFile(conversations) {
  const plain = conversations.map((c) => ({ ...c, nodes: [...c.nodes.values()] }));
  return JSON.stringify({ format: 'bantam-conversations', version: 1, conversations: plain }, null, 1);
}

// The shown branch as Markdown.
export function toMarkdown(conversation) {
  const parts = [`# ${conversation.title}`];
  for (const node of shownPath(conversation)) {
    if (node.role === 'user') parts.push('## You', withAttachments(node.content, node.attachments));
    else if (node.role === 'tool') parts.push('## Tool result', node.content);
    else {
      parts.push(`## ${node.model || 'Assistant'}`);
      if (node.reasoning) parts.push(`<details><summary>Thinking</summary>\n\n${node.reasoning.trim()}\n\n</details>`);
      for (const call of node.toolCalls || []) parts.push(`Tool call \`${call.name}\`: \`${call.arguments}\``);
      parts.push(node.content);
    }
  }
  return `${parts.filter(Boolean).join('\n\n')}\n`;
}

const text = (value, most = 1 << 24) => (typeof value === 'string' ? value.slice(0, most) : '');
const number = (value) => (Number.isFinite(value) ? value : 0);
const list = (value) => (Array.isArray(value) ? value : []);

function cleanToken(raw) {
  const token = { i: number(raw?.i), t: text(raw?.t, 1000), p: Number.isFinite(raw?.p) ? raw.p : null };
  token.a = list(raw?.a).filter(Array.isArray).map(([id, t, p]) => [number(id), text(t, 1000), number(p)]);
  if (Array.isArray(raw?.b)) token.b = raw.b.map((b) => number(b) & 255);
  if (raw?.r) token.r = 1;
  if (raw?.forked) token.forked = 1;
  return token;
}

function cleanUsage(raw) {
  if (!raw || typeof raw !== 'object') return undefined;
  return {
    prompt_tokens: number(raw.prompt_tokens), completion_tokens: number(raw.completion_tokens),
    prompt_tokens_details: { cached_tokens: number(raw.prompt_tokens_details?.cached_tokens) },
    completion_tokens_details: { reasoning_tokens: number(raw.completion_tokens_details?.reasoning_tokens) },
  };
}

function cleanNode(raw, order) {
  const node = {
    id: text(raw.id, 100), parent: text(raw.parent, 100), role: raw.role, order, created: number(raw.created), content: text(raw.content),
  };
  if (node.role === 'user') {
    node.attachments = list(raw.attachments).map((a) => ({ name: text(a?.name, 200), text: text(a?.text) }));
  } else if (node.role === 'tool') {
    node.toolCallId = text(raw.toolCallId, 200);
  } else {
    Object.assign(node, {
      status: 'done', model: text(raw.model, 200), reasoning: text(raw.reasoning), reasoningMs: number(raw.reasoningMs),
      finish: text(raw.finish, 40), pair: text(raw.pair, 100), column: raw.column === 'B' ? 'B' : raw.column === 'A' ? 'A' : '',
      toolCalls: list(raw.toolCalls).map((c) => ({ id: text(c?.id, 200), name: text(c?.name, 200), arguments: text(c?.arguments) })),
      tokens: list(raw.tokens).map(cleanToken), settings: cleanSettings(raw.settings), edited: raw.edited === true, usage: cleanUsage(raw.usage),
      seed: Number.isFinite(raw.seed) ? raw.seed : null,
      timings: raw.timings ? { predicted_per_second: number(raw.timings.predicted_per_second) } : undefined,
    });
  }
  return node;
}

// The conversations of a file as Store.importAll takes them. Throws an Error that says what is wrong.
export function fromFile(source) {
  let file;
  try {
    file = JSON.parse(source);
  } catch (error) {
    throw new Error(`This is not a JSON file: ${error.message}`);
  }
  if (file?.format !== 'bantam-conversations') throw new Error('This file does not hold conversations exported by bantam.');
  if (file.version !== 1) throw new Error(`This file has format version ${text(String(file.version), 20)}; this page reads version 1.`);
  return list(file.conversations).map((raw) => {
    const known = new Set(['']);
    const nodes = [];
    // A node counts only after its parent, so that what is left is a tree whatever the file says.
    for (const item of list(raw?.nodes)) {
      if (!['user', 'assistant', 'tool'].includes(item?.role) || !item.id || known.has(item.id) || !known.has(item.parent)) continue;
      const node = cleanNode(item, nodes.length);
      known.add(node.id);
      nodes.push(node);
    }
    const selected = {};
    for (const [parent, child] of Object.entries(raw?.selected || {})) {
      if (known.has(parent) && child && known.has(child)) selected[parent] = child;
    }
    const created = number(raw?.created);
    return { title: text(raw?.title, 200), created, updated: number(raw?.updated), settings: cleanSettings(raw?.settings), selected, nodes };
  });
}
