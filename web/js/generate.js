// Runs answers: makes the nodes, streams into them, saves them, waits and tries again when the server is busy. The views
// hear of progress through `node` events, at most one per frame and answer.

import { state, emit, modelOf, isRunning } from './state.js';
import { addNode, pathTo, select, titleFrom, newId } from './tree.js';
import { buildBody, settingsOf, randomSeed, modelDefaults, parseTools } from './request.js';
import { startAnswer, applyChunk, endAnswer, prefixOf, forkTokens, textOf } from './answer.js';
import { call, tokenize, errorFrom, ApiError } from './api.js';
import { readEvents } from './sse.js';

const MOST_TRIES = 6;
const SAVE_EVERY_MS = 1000;

// Tells the views, once per frame, which nodes have changed. The timer is for windows that draw no frames.
const pending = new Set();
function flush() {
  const nodes = [...pending];
  pending.clear();
  nodes.forEach((node) => emit('node', node));
}
function touch(node) {
  if (!pending.size) {
    requestAnimationFrame(flush);
    setTimeout(flush, 100);
  }
  pending.add(node);
}

function pause(ms, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener('abort', () => { clearTimeout(timer); reject(signal.reason); }, { once: true });
  });
}

// Posts; when the server is full or still loading, waits as long as it asks and tries again, saying so in node.retry.
async function post(node, body, controller) {
  for (let tries = 1; ; tries++) {
    try {
      return await call('v1/chat/completions', { body, signal: controller.signal });
    } catch (error) {
      if (!['busy', 'loading'].includes(error.kind) || tries === MOST_TRIES) throw error;
      const wait = Math.max(0.2, Math.min(error.retryAfter ?? 2 ** tries, 60)) * 1000;
      node.retry = { at: Date.now() + wait, message: error.message, kind: error.kind };
      touch(node);
      await pause(wait, controller.signal);
      node.retry = null;
    }
  }
}

async function stream(node, body, controller) {
  const response = await post(node, body, controller);
  let ended = false;
  let saved = Date.now();
  try {
    for await (const data of readEvents(response)) {
      if (data === '[DONE]') { ended = true; break; }
      const chunk = JSON.parse(data);
      if (chunk.error) throw errorFrom(0, chunk);
      applyChunk(node, chunk, performance.now());
      if (node.progress) node.lastProgress = node.progress;
      touch(node);
      if (Date.now() - saved > SAVE_EVERY_MS) {
        saved = Date.now();
        state.store.saveNode(node).catch(() => {});
      }
    }
  } catch (error) {
    if (error instanceof ApiError || error.name === 'AbortError') throw error;
    throw new ApiError('cut', 'The connection broke before the answer was complete.');
  }
  if (!ended && !node.finish) throw new ApiError('cut', 'The server closed the connection before the answer was complete.');
}

// Streams one answer into `node` to its end; never throws.
async function run(conversation, node, prefix = []) {
  const controller = new AbortController();
  const settings = settingsOf(conversation.settings, node.column);
  const model = modelOf(settings);
  const sent = { ...settings, model: model?.id || settings.model || 'default' };
  startAnswer(node, performance.now());
  node.settings = { ...sent, defaults: modelDefaults(model, sent) };
  node.model = sent.model;
  state.running.set(node.id, controller);
  emit('running');
  touch(node);
  try {
    const ids = typeof prefix === 'function' ? await prefix(model, controller.signal) : prefix;
    const path = pathTo(conversation, node).slice(0, -1);
    const own = ids.edited && model?.meta?.thinking === 'hybrid' ? { ...sent, thinking: 'off' } : sent;
    await stream(node, buildBody({ path, settings: own, seed: node.seed, prefix: ids }), controller);
    endAnswer(node, 'done');
  } catch (error) {
    if (error.name === 'AbortError') endAnswer(node, 'stopped');
    else endAnswer(node, 'error', { kind: error.kind || 'server', message: error.message, status: error.status || 0 });
    if (error.kind === 'auth') emit('auth');
    if (error.kind === 'gone' || error.kind === 'cut') emit('alive', false);
  }
  node.retry = null;
  state.running.delete(node.id);
  conversation.updated = Date.now();
  if (conversation.nodes.has(node.id)) await save(conversation, [node]);
  emit('running');
  touch(node);
}

let saves = 0;  // under way; the page says so, for who wants to close it
export async function save(conversation, nodes = []) {
  document.documentElement.dataset.saves = ++saves;
  try {
    await state.store.save(conversation, nodes);
  } catch (error) {
    emit('unsaved', error);
  }
  document.documentElement.dataset.saves = --saves;
  emit('list');
}

// New answers under `parent`: one, or an A and a B that stream at once on one seed.
async function answer(conversation, parent) {
  const columns = conversation.settings.compare ? ['A', 'B'] : [''];
  const seed = conversation.settings.seed ?? randomSeed();
  const pair = columns.length > 1 ? newId() : '';
  const nodes = columns.map((column) => addNode(conversation, parent, {
    role: 'assistant', column, pair, status: 'streaming', seed: settingsOf(conversation.settings, column).seed ?? seed,
  }));
  select(conversation, nodes[0]);
  await save(conversation, nodes);
  emit('path');
  await Promise.all(nodes.map((node) => run(conversation, node)));
}

// Why nothing can be sent now; '' when something can.
export function obstacle(conversation) {
  if (isRunning(conversation)) return 'An answer is still being written.';
  const tools = parseTools(conversation.settings.tools || '');
  return tools instanceof Error ? tools.message : '';
}

export async function ask(conversation, parent, content, attachments) {
  if (!conversation.title) conversation.title = titleFrom(content || attachments[0]?.name || '');
  const node = addNode(conversation, parent, { role: 'user', content, attachments });
  await save(conversation, [node]);
  await answer(conversation, node.id);
}

export const regenerate = (conversation, node) => answer(conversation, node.parent);

export async function giveToolResults(conversation, node, results) {
  let parent = node.id;
  for (const [index, content] of results.entries()) {
    const added = addNode(conversation, parent, { role: 'tool', toolCallId: node.toolCalls[index].id, content });
    await save(conversation, [added]);
    parent = added.id;
  }
  await answer(conversation, parent);
}

// The ids that `node` holds; of a text the user wrote, what the tokenizer makes of it, after the thinking is closed where the
// template always opens it.
function prefixFor(node) {
  if (!node.edited && node.tokens?.length && node.tokens.every((t) => Number.isInteger(t.i))) return prefixOf(node.tokens).map((t) => t.i);
  return async (model, signal) => {
    const closing = model?.meta?.thinking === 'always' ? await tokenize(model.id, '\n</think>\n\n', true, signal) : [];
    return Object.assign([...closing, ...await tokenize(model?.id, node.content, false, signal)], { edited: true });
  };
}

// Goes on where the answer ended.
export async function continueAnswer(conversation, node) {
  if (!node.edited) node.tokens = prefixOf(node.tokens || []);
  await run(conversation, node, prefixFor(node));
}

// A new branch that takes alternative `choice` at token `index`, and goes on from there.
export async function fork(conversation, node, index, choice) {
  const tokens = forkTokens(node.tokens, index, choice);
  const { reasoning, content } = textOf(tokens);
  const branch = addNode(conversation, node.parent, {
    role: 'assistant', column: '', pair: '', seed: node.seed, tokens, reasoning, content, status: 'streaming', forkedAt: tokens.length - 1,
  });
  select(conversation, branch);
  emit('path');
  await save(conversation, [branch]);
  await run(conversation, branch, tokens.map((t) => t.i));
  return branch;
}

// A sibling of an answer with the user's text in it.
export async function saveEdited(conversation, node, content) {
  const branch = addNode(conversation, node.parent, {
    role: 'assistant', column: '', pair: '', seed: node.seed, model: node.model, content, reasoning: '', tokens: [], toolCalls: [],
    status: 'done', edited: true,
  });
  select(conversation, branch);
  await save(conversation, [branch]);
  emit('path');
  return branch;
}

export function stop(conversation) {
  for (const [id, controller] of state.running) if (!conversation || conversation.nodes.has(id)) controller.abort();
}
