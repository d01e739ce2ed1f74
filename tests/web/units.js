// Tests of the pure modules, evaluated in the page by web_test.py: returns the list of complaints. Modules are imported from the
// server, so it is the embedded files that are tested.
(async () => {
  const load = (name) => import(new URL(`ui/js/${name}.js`, document.baseURI));
  const [tree, sse, answer, request, transfer, markdown] = await Promise.all(['tree', 'sse', 'answer', 'request', 'transfer', 'markdown'].map(load));
  const complaints = [];
  const same = (what, got, expected) => {
    const [a, b] = [got, expected].map((v) => JSON.stringify(v));
    if (a !== b) complaints.push(`${what}: expected ${b}, got ${a}`);
  };

  // Tree.
  {
    const c = tree.newConversation({});
    const ids = (nodes) => nodes.map((n) => n.content).join();
    const u = tree.addNode(c, '', { role: 'user', content: 'u' });
    const a1 = tree.addNode(c, u.id, { role: 'assistant', content: 'a1' });
    const u2 = tree.addNode(c, a1.id, { role: 'user', content: 'u2' });
    const a2 = tree.addNode(c, u.id, { role: 'assistant', content: 'a2' });
    same('a new branch is shown', ids(tree.shownPath(c)), 'u,a2');
    tree.select(c, u2);
    same('selecting shows the ancestors', ids(tree.shownPath(c)), 'u,a1,u2');
    same('siblings go round', tree.sibling(c, a1, -1).content, 'a2');
    same('pathTo', ids(tree.pathTo(c, u2)), 'u,a1,u2');
    const removed = tree.remove(c, a1);
    same('a subtree goes', ids(removed), 'a1,u2');
    same('its sibling is shown', ids(tree.shownPath(c)), 'u,a2');
    tree.restore(c, removed);
    same('undo brings it back', ids(tree.shownPath(c)), 'u,a1,u2');
    tree.remove(c, u);
    same('nothing is left', [c.nodes.size, Object.keys(c.selected).length], [0, 0]);
    same('titles', [tree.titleFrom('  a\tb \nc'), tree.titleFrom(''), tree.titleFrom('x'.repeat(80)).length], ['a b', 'Untitled', 58]);
  }

  // Server-sent events, whole and cut at every place.
  {
    const source = ': ping\n\ndata: {"a":1}\r\n\r\nevent: x\rdata:b\rdata: c\r\rdata\n\nid: 1\n\ndata: last\n\n';
    const expected = ['{"a":1}', 'b\nc', '', 'last'];
    same('sse', new sse.SseParser().push(source), expected);
    for (let cut = 0; cut <= source.length; cut++) {
      const parser = new sse.SseParser();
      same(`sse cut at ${cut}`, [...parser.push(source.slice(0, cut)), ...parser.push(source.slice(cut))], expected);
    }
    const parser = new sse.SseParser();
    same('sse one by one', [...source].flatMap((c) => parser.push(c)), expected);
    same('an unfinished event is none', new sse.SseParser().push('data: x\n'), []);
  }

  // Answers.
  {
    const node = { content: '' };
    answer.startAnswer(node, 0);
    const entry = (token, id, bytes) => ({ token, id, logprob: -1, bytes, top_logprobs: [{ token, id, logprob: -1 }, { token: '!', id: 9, logprob: -2 }] });
    const chunk = (delta, logprobs, finish) => ({ choices: [{ index: 0, delta, logprobs, finish_reason: finish }] });
    answer.applyChunk(node, { choices: [], prompt_progress: { total: 10, cache: 4, processed: 5 } }, 1);
    same('progress', answer.contextUse(node), { used: 10, cached: 4, prompt: 10 });
    answer.applyChunk(node, chunk({ role: 'assistant', content: null }), 2);
    same('the role is no token', node.firstToken, null);
    answer.applyChunk(node, chunk({ reasoning_content: 'hm', reasoning: 'hm' }, { reasoning: [entry('<think>', 1), entry('hm', 2)] }), 1000);
    answer.applyChunk(node, chunk({ content: 'é' }, { content: [entry('</think>', 3), entry('\ufffd', 4, [0xc3]), entry('\ufffd', 5, [0xa9])] }), 2000);
    answer.applyChunk(node, chunk({ tool_calls: [{ index: 0, id: 'c', function: { name: 'f', arguments: '' } }] }), 2100);
    answer.applyChunk(node, chunk({ tool_calls: [{ index: 0, function: { arguments: '{"a"' } }] }), 2200);
    answer.applyChunk(node, chunk({ tool_calls: [{ index: 0, function: { arguments: ':1}' } }] }, { content: [entry('<|im_end|>', 6)] }, 'tool_calls'), 3000);
    same('fields', [node.reasoning, node.content, node.toolCalls, node.finish], ['hm', 'é', [{ id: 'c', name: 'f', arguments: '{"a":1}' }], 'tool_calls']);
    same('a prefix leaves the end of turn out', answer.prefixOf(node.tokens).map((t) => t.i), [1, 2, 3, 4, 5]);
    same('text of tokens', answer.textOf(node.tokens), { reasoning: 'hm', content: 'é' });
    const fork = answer.forkTokens(node.tokens, 1, 1);
    same('fork', [fork.map((t) => t.i), answer.textOf(fork).reasoning, fork[1].r], [[1, 9], '!', 1]);
    answer.endAnswer(node, 'done');
    same('rate', answer.rate(node), (node.fresh - 1) / 2);
    node.usage = { prompt_tokens: 20, completion_tokens: 5, prompt_tokens_details: { cached_tokens: 15 } };
    same('context', answer.contextUse(node), { used: 25, cached: 15, prompt: 20 });
  }

  // Requests.
  {
    const settings = { ...request.DEFAULT_SETTINGS, model: 'm', system: 'be brief', temperature: 0, top_k: null, thinking: 'off', thinking_budget: 5, max_tokens: 7 };
    const path = [{ role: 'user', content: 'q', attachments: [{ name: 'f.md', text: 'x\n```\ny\n' }] }, { role: 'assistant', content: 'a', reasoning: 'r', toolCalls: [] }, { role: 'user', content: 'q2' }];
    const body = request.buildBody({ path, settings, seed: 3, prefix: [4] });
    same('messages', body.messages, [{ role: 'system', content: 'be brief' }, { role: 'user', content: 'File f.md:\n````\nx\n```\ny\n````\n\nq' },
      { role: 'assistant', content: 'a' }, { role: 'user', content: 'q2' }]);
    same('values', [body.temperature, 'top_k' in body, body.enable_thinking, 'thinking_budget' in body, body.max_completion_tokens, body.seed, body.prefix_token_ids],
      [0, false, false, false, 7, 3, [4]]);
    same('B differs where it says so', request.settingsOf({ ...settings, b: { temperature: 1, model: '', top_p: null } }, 'B').temperature, 1);
    same('untrusted settings', request.cleanSettings({ temperature: 'hot', top_k: 3.7, thinking: 'maybe', b: { seed: 4, evil: 1 } }),
      { ...request.DEFAULT_SETTINGS, top_k: 3, b: { seed: 4 } });
    same('tools', [request.parseTools('{') instanceof Error, request.parseTools('[1]') instanceof Error, request.parseTools('[{"name":"f"}]')],
      [true, true, [{ type: 'function', function: { name: 'f' } }]]);
  }

  // Import: a file that lies.
  {
    const nodes = [{ id: 'a', parent: 'nobody', role: 'user' }, { id: 'b', parent: '', role: 'user', content: 5 }, { id: 'b', parent: '', role: 'user' },
      { id: 'c', parent: 'b', role: 'assistant', content: 'x', status: 'streaming', error: {}, tokens: [null, { i: 'z', t: 1 }] }, { id: 'd', parent: 'c', role: 'system' }];
    const file = (conversations) => JSON.stringify({ format: 'bantam-conversations', version: 1, conversations });
    const [got] = transfer.fromFile(file([{ title: 7, nodes, selected: { b: 'a', '': 'b' } }]));
    same('imported', [got.title, got.nodes.map((n) => n.id), got.nodes[0].content, got.nodes[1].status, got.selected], ['', ['b', 'c'], '', 'done', { '': 'b' }]);
    for (const bad of ['', '[]', '{"format":"x"}', '{"format":"bantam-conversations","version":2}']) {
      try {
        transfer.fromFile(bad);
        complaints.push(`accepted ${bad}`);
      } catch { /* as it should */ }
    }
  }

  // Markdown: what is allowed stays, everything else becomes text.
  {
    const html = (source) => {
      const box = document.createElement('div');
      box.append(markdown.renderMarkdown(source));
      return box;
    };
    const hostile = ['<script>window.pwned=1</script>', '<img src=x onerror="window.pwned=1">', '[a](javascript:window.pwned=1)', '[a](data:text/html,x)',
      '[a](vbscript:x)', '[a]( java\tscript:x)', '![a](javascript:x)', '![a](https://example.org/x.png)', '<svg onload=window.pwned=1>', '<iframe srcdoc=x>',
      '<math><mtext><table><mglyph><style><img src=x onerror=window.pwned=1>', '`<b onclick=x>`', '```"><img src=x onerror=window.pwned=1>\nx\n```',
      '$\\href{javascript:window.pwned=1}{x}$', '$$\\htmlStyle{color:red}{x}$$', '<a href="javascript:x" style="position:fixed">y</a>', '[a](https://e.org "x\\" onclick=\\"y")',
      '<form action=x><input autofocus onfocus=window.pwned=1>', '<base href=//evil.example>', '<style>*{display:none}</style>', '<https://e.org/"onmouseover="x>'];
    for (const source of hostile) {
      for (const element of html(source).querySelectorAll('*')) {
        const name = element.tagName.toLowerCase();
        if (['script', 'img', 'iframe', 'form', 'base', 'style', 'object', 'embed', 'link'].includes(name)) complaints.push(`${source}: made <${name}>`);
        for (const { name: key, value } of element.attributes) {
          if (key.startsWith('on')) complaints.push(`${source}: attribute ${key}`);
          if (['href', 'src', 'action'].includes(key) && !/^(https?|mailto):/.test(value)) complaints.push(`${source}: ${key}=${value}`);
        }
      }
    }
    const text = (source) => html(source).textContent;
    same('html is shown', text('a <b>x</b>').trim(), 'a <b>x</b>');
    same('prices are no maths', html('It costs $5 or $6, or $7/$8.').querySelectorAll('.math').length, 0);
    same('maths', ['$x$', '\\(x\\)', '$$x$$', '\\[x\\]', 'a $$x$$ b', '$$\nx\n$$'].map((s) => html(s).querySelector('.math')?.dataset.display), ['0', '0', '1', '1', '1', '1']);
    same('code keeps its language', html('```js\nlet a;\n```').querySelector('.code-head span').textContent, 'js');
    same('links are safe', html('[a](https://e.org)').querySelector('a').rel, 'noopener noreferrer nofollow');
    const view = new markdown.ProseView(document.createElement('div'));
    const whole = '# T\n\npara *x*\n\n- a\n- b\n\n```py\ncode\n```\n\nend $x$.';
    for (let i = 1; i <= whole.length; i++) view.update(whole.slice(0, i));
    same('growing text ends as whole text', view.element.textContent.replace(/\s+/g, ' '), html(whole).textContent.replace(/\s+/g, ' '));
    const first = view.element.firstChild;
    view.update(`${whole}\n\nmore`);
    same('unchanged blocks keep their nodes', view.element.firstChild === first, true);
    same('nothing ran', window.pwned === undefined, true);
  }
  return complaints;
})()
