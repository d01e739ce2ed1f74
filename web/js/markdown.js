// Markdown to DOM. The only door for model text with markup, three locks deep: raw HTML is escaped before marked sees a tag in
// it, DOMPurify keeps a short list of tags and attributes, and the page's CSP runs no inline script and fetches nothing elsewhere.
// Images become links, so that no answer can make the browser fetch an address. highlight.js and KaTeX are loaded
// when a first code block or formula asks for them.

import { h, iconButton, copyText, icon, replace } from './dom.js';

const TAGS = ['p', 'br', 'hr', 'h1', 'h2', 'h3', 'h4', 'h5', 'h6', 'strong', 'em', 'del', 'code', 'pre', 'blockquote', 'ul', 'ol', 'li', 'a',
  'table', 'thead', 'tbody', 'tr', 'th', 'td', 'span', 'div'];
const ATTRIBUTES = ['href', 'title', 'class', 'align', 'start', 'data-lang', 'data-display'];
const LINKS = /^(?:https?|mailto):/i;
const MOST_HIGHLIGHTED = 50000;  // characters of one code block

const escapeHtml = (text) => text.replace(/[&<>"']/g, (c) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' })[c]);

const MATH_BLOCK = /^ {0,3}(?:\$\$([\s\S]+?)\$\$|\\\[([\s\S]+?)\\\])[ \t]*(?:\n+|$)/;
const MATH_INLINE = [
  [/^\$\$([^$]+?)\$\$/, true], [/^\\\[([\s\S]+?)\\\]/, true], [/^\\\(([\s\S]+?)\\\)/, false],
  [/^\$(?![\s$])((?:\\[\s\S]|[^$\\\n])*?[^\s$\\])\$(?!\d)/, false],
];
const mathHtml = (token) => `<span class="math" data-display="${token.display ? 1 : 0}">${escapeHtml(token.tex)}</span>`;

const extensions = [
  {
    name: 'mathBlock', level: 'block', renderer: (token) => `<div>${mathHtml(token)}</div>`,
    start: (source) => source.match(/(?:^|\n) {0,3}(?:\$\$|\\\[)/)?.index,
    tokenizer(source) {
      const match = MATH_BLOCK.exec(source);
      return match ? { type: 'mathBlock', raw: match[0], tex: (match[1] ?? match[2]).trim(), display: true } : undefined;
    },
  },
  {
    name: 'mathInline', level: 'inline', renderer: mathHtml,
    start: (source) => source.match(/\$|\\[([]/)?.index,
    tokenizer(source) {
      for (const [pattern, display] of MATH_INLINE) {
        const match = pattern.exec(source);
        if (match) return { type: 'mathInline', raw: match[0], tex: match[1].trim(), display };
      }
      return undefined;
    },
  },
];

const renderer = {
  html: (source) => escapeHtml(source),
  code: (text, info) => `<pre data-lang="${escapeHtml((info || '').trim().split(/\s+/)[0].slice(0, 30))}"><code>${escapeHtml(text)}</code></pre>`,
  image: (href, title, alt) => `<a href="${escapeHtml(href || '')}">image: ${escapeHtml(alt || href || '')}</a>`,
  checkbox: (checked) => (checked ? '\u2611 ' : '\u2610 '),
};

let ready = false;
function setUp() {
  if (ready) return;
  // Debian 12's node-dompurify 2.4.1+dfsg+~2.4.0-2+deb12u1 reads a variable `shadowNode` in sanitize() that its backported depth check
  // never declares. An empty one passes that check of the outermost node; every inner node is still checked by its own.
  globalThis.shadowNode ??= Object.freeze({});
  marked.use({ extensions, renderer, gfm: true, breaks: false, headerIds: false, mangle: false, smartypants: false });
  DOMPurify.addHook('afterSanitizeAttributes', (node) => {
    if (node.tagName !== 'A') return;
    node.setAttribute('target', '_blank');
    node.setAttribute('rel', 'noopener noreferrer nofollow');
  });
  ready = true;
}

function purify(html) {
  return DOMPurify.sanitize(html, {
    RETURN_DOM_FRAGMENT: true, ALLOWED_TAGS: TAGS, ALLOWED_ATTR: ATTRIBUTES, ALLOW_DATA_ATTR: false, ALLOW_ARIA_ATTR: false,
    ADD_URI_SAFE_ATTR: ['data-lang', 'data-display', 'align', 'start'], ALLOWED_URI_REGEXP: LINKS,
  });
}

const loading = new Map();
function loadScript(path) {
  if (!loading.has(path)) {
    loading.set(path, new Promise((resolve, reject) => {
      const script = h('script', { src: path, onload: resolve, onerror: reject });
      document.head.append(script);
    }));
  }
  return loading.get(path);
}

// Colours a <code> element; leaves it plain when the language is unknown.
export async function highlight(code, language) {
  const text = code.textContent;
  if (!language || text.length > MOST_HIGHLIGHTED) return;
  await loadScript('ui/lib/highlight.min.js');
  if (code.textContent !== text || !hljs.getLanguage(language)) return;
  code.replaceChildren(purify(hljs.highlight(language, text, true).value));
}

async function typeset(span) {
  if (!loading.has('katex.css')) {
    loading.set('katex.css', true);
    document.head.append(h('link', { rel: 'stylesheet', href: 'ui/lib/katex.min.css' }));
  }
  await loadScript('ui/lib/katex.min.js');
  const tex = span.textContent;
  try {
    // katex.render builds nodes and sets styles through the DOM, which CSP allows; trust stays off: no links, no HTML.
    katex.render(tex, span, { displayMode: span.dataset.display === '1', throwOnError: true, trust: false, strict: 'ignore', maxSize: 30, maxExpand: 300 });
    span.title = tex;
  } catch {
    span.textContent = span.dataset.display === '1' ? `$$${tex}$$` : `$${tex}$`;
    span.classList.add('math-error');
  }
}

function copyButton(text) {
  const button = iconButton('copy', 'Copy code', async () => {
    const done = await copyText(text());
    replace(button, icon(done ? 'check' : 'close'));
    setTimeout(() => replace(button, icon('copy')), 1500);
  }, '.copy-code');
  return button;
}

// A code block with its language and copy button.
export function codeBlock(code, language) {
  highlight(code, language);
  return h('div.code-block', {}, h('div.code-head', {}, h('span', {}, language || 'text'), copyButton(() => code.textContent)), h('pre', { tabindex: 0 }, code));
}

function enhance(fragment) {
  for (const pre of fragment.querySelectorAll('pre')) {
    const code = pre.querySelector('code') || pre;
    pre.replaceWith(codeBlock(code, pre.dataset.lang || ''));
  }
  for (const table of fragment.querySelectorAll('table')) {
    const frame = h('div.table-frame', { tabindex: 0 });
    table.replaceWith(frame);
    frame.append(table);
  }
  for (const span of fragment.querySelectorAll('span.math')) typeset(span);
  return fragment;
}

export function renderMarkdown(text) {
  setUp();
  return enhance(purify(marked.parse(text)));
}

// Markdown that grows: blocks whose source has not changed keep their nodes, so that selections and scroll positions survive
// and an answer costs its last block per update.
export class ProseView {
  #blocks = [];  // {raw, nodes}
  constructor(element) { this.element = element; }

  update(text) {
    setUp();
    let tokens;
    try {
      tokens = marked.lexer(text);
    } catch {
      this.element.textContent = text;
      this.#blocks = [];
      return;
    }
    const blocks = tokens.filter((t) => t.type !== 'space' && t.type !== 'def');
    let same = 0;
    while (same < blocks.length && same < this.#blocks.length && this.#blocks[same].raw === blocks[same].raw) same++;
    for (const old of this.#blocks.splice(same)) for (const node of old.nodes) node.remove();
    if (same === 0) this.element.replaceChildren();
    for (const token of blocks.slice(same)) {
      const list = [token];
      list.links = tokens.links;
      const nodes = [...enhance(purify(marked.parser(list))).childNodes];
      this.element.append(...nodes);
      this.#blocks.push({ raw: token.raw, nodes });
    }
  }
}
