// Accumulates a streamed answer into its node: text, thinking, tool calls, tokens with their alternatives, timing. Pure:
// the clock is passed in. Tokens are kept as {i: id, t: text, b: bytes when the text alone is not valid UTF-8,
// p: log-probability, a: [[id, text, logprob], ...], r: 1 inside thinking}.

const CONTROL = /^<\|[a-z_]+\|>$|^<\/?(think|tool_call|tool_response)>$/;
const END = ['<|im_end|>', '<|endoftext|>'];

export function startAnswer(node, now) {
  Object.assign(node, {
    status: 'streaming', error: null, finish: null, started: now, firstToken: null, lastToken: null, progress: null,
    reasoning: node.reasoning || '', toolCalls: node.toolCalls || [], tokens: node.tokens || [],
    fresh: 0, reasoningAt: null,
  });
}

function compact(entry, thinking) {
  const text = entry.token ?? '';
  const token = { i: entry.id, t: text, p: entry.logprob, a: (entry.top_logprobs || []).map((o) => [o.id, o.token, o.logprob]) };
  if (text.includes('\ufffd') && entry.bytes) token.b = entry.bytes;
  if (thinking) token.r = 1;
  return token;
}

function addToolCalls(node, deltas) {
  for (const delta of deltas) {
    const index = delta.index ?? 0;
    const call = node.toolCalls[index] ||= { id: '', name: '', arguments: '' };
    if (delta.id) call.id = delta.id;
    if (delta.function?.name) call.name += delta.function.name;
    if (delta.function?.arguments) call.arguments += delta.function.arguments;
  }
}

export function applyChunk(node, chunk, now) {
  if (chunk.prompt_progress) node.progress = chunk.prompt_progress;
  if (chunk.usage) node.usage = chunk.usage;
  if (chunk.timings) node.timings = chunk.timings;
  if (chunk.model) node.model = chunk.model;
  const choice = chunk.choices?.[0];
  if (!choice) return;
  const delta = choice.delta || {};
  const reasoning = delta.reasoning_content ?? delta.reasoning ?? '';
  if (reasoning) {
    node.reasoningAt ??= now;
    node.reasoning += reasoning;
    node.reasoningMs = (node.reasoningBase || 0) + now - node.reasoningAt;
  }
  if (delta.content) node.content += delta.content;
  if (delta.tool_calls) addToolCalls(node, delta.tool_calls);
  const entries = [...(choice.logprobs?.reasoning || []).map((e) => compact(e, true)), ...(choice.logprobs?.content || []).map((e) => compact(e, false))];
  node.tokens.push(...entries);
  const news = entries.length || (reasoning || delta.content || delta.tool_calls ? 1 : 0);
  if (news) {
    node.firstToken ??= now;
    node.lastToken = now;
    node.fresh += news;
  }
  if (choice.finish_reason) node.finish = choice.finish_reason;
}

export function endAnswer(node, status, error = null) {
  node.status = status;
  node.error = error;
  node.progress = null;
  node.reasoningBase = node.reasoningMs || 0;
}

// Tokens per second: the server's figure when there is one, else what arrived since the first.
export function rate(node) {
  if (node.status !== 'streaming' && node.timings?.predicted_per_second) return node.timings.predicted_per_second;
  const ms = (node.lastToken ?? 0) - (node.firstToken ?? 0);
  return node.fresh > 1 && ms > 0 ? ((node.fresh - 1) * 1000) / ms : null;
}

export function reasoningTokens(node) {
  return node.usage?.completion_tokens_details?.reasoning_tokens || (node.tokens || []).reduce((n, t) => n + (t.r || 0), 0);
}

// {used, cached, prompt}: tokens of context held by this answer with what came before it.
export function contextUse(node) {
  if (node.usage) {
    const { prompt_tokens: prompt, completion_tokens: made, prompt_tokens_details: details } = node.usage;
    return { used: prompt + made, cached: details?.cached_tokens || 0, prompt };
  }
  const prompt = node.progress?.total ?? node.lastProgress?.total ?? 0;
  return { used: prompt + (node.tokens?.length || 0), cached: (node.progress ?? node.lastProgress)?.cache || 0, prompt };
}

// Ids that an answer goes on from: all of its tokens without a closing end-of-turn.
export function prefixOf(tokens) {
  let end = tokens.length;
  while (end > 0 && END.includes(tokens[end - 1].t)) end--;
  return tokens.slice(0, end);
}

// Tokens of a branch that differs at `index`, where alternative `choice` of that token is taken.
export function forkTokens(tokens, index, choice) {
  const from = tokens[index];
  const [id, text, logprob] = from.a[choice];
  const token = { i: id, t: text, p: logprob, a: from.a, forked: 1 };
  if (from.r && from.t !== '<think>') token.r = 1;  // without its opening there is no thinking
  return [...tokens.slice(0, index), token];
}

// The text of tokens, split as the server splits it: {reasoning, content}. Bytes of neighbouring tokens are joined before
// decoding, so a character that spans two tokens comes out whole.
export function textOf(tokens) {
  const encoder = new TextEncoder();
  const parts = { reasoning: [], content: [] };
  for (const token of tokens) {
    if (CONTROL.test(token.t)) continue;
    parts[token.r ? 'reasoning' : 'content'].push(...(token.b || encoder.encode(token.t)));
  }
  const decode = (list) => new TextDecoder().decode(new Uint8Array(list));
  return { reasoning: decode(parts.reasoning).trimStart(), content: decode(parts.content).replace(/^\n+/, '') };
}

export const isControl = (text) => CONTROL.test(text);

// Mean surprise of an answer: {tokens, perplexity}; null without log-probabilities.
export function surprise(tokens) {
  const known = tokens.filter((t) => Number.isFinite(t.p));
  if (!known.length) return null;
  return { tokens: known.length, perplexity: Math.exp(-known.reduce((sum, t) => sum + t.p, 0) / known.length) };
}
