// Keyboard shortcuts: one table, from which both the handler and the help sheet come.

import { h } from './dom.js';
import { openDialog } from './dialog.js';

const mac = /Mac|iPhone|iPad/.test(navigator.platform);

// [keys as written, what it does, action name]. Mod is Ctrl, on a Mac Command. Letters are compared by place (event.code), so
// that Alt works on a Mac, where it changes the character.
export const SHORTCUTS = [
  ['Mod+K', 'Search the conversations', 'search'],
  ['Mod+Shift+O', 'New conversation', 'newConversation'],
  ['Mod+B', 'Show or hide the list', 'toggleSidebar'],
  ['Mod+,', 'Show or hide the settings', 'toggleSettings'],
  ['/', 'Go to the message field', 'focusComposer'],
  ['Esc', 'Stop the answer', 'stop'],
  ['Alt+R', 'Regenerate the last answer', 'regenerateLast'],
  ['Alt+C', 'Continue the last answer', 'continueLast'],
  ['Alt+E', 'Edit your last message', 'editLast'],
  ['Alt+←', 'Previous branch of the last answer', 'previousBranch'],
  ['Alt+→', 'Next branch of the last answer', 'nextBranch'],
  ['Alt+T', 'Token view of the last answer', 'tokensLast'],
  ['Alt+S', 'Side by side', 'toggleCompare'],
  ['Alt+H', 'Thinking: auto, on, off', 'nextThinking'],
  ['Alt+D', 'Colours: system, light, dark', 'nextTheme'],
  ['?', 'This sheet', 'help'],
];
const LIBRARIES = [['marked', 'libjs-marked'], ['DOMPurify', 'node-dompurify'], ['highlight.js', 'libjs-highlight.js'], ['KaTeX', 'libjs-katex'], ['its fonts', 'fonts-katex']];
const FIXED = [['Enter', 'Send'], ['Shift+Enter', 'New line'], ['Mod+Enter', 'Save an edit and go on']];

const CODES = { ',': 'Comma', '/': 'Slash', '←': 'ArrowLeft', '→': 'ArrowRight', Esc: 'Escape' };

function matches(keys, event) {
  const parts = keys.split('+');
  const key = parts.pop();
  const mod = mac ? event.metaKey : event.ctrlKey;
  if (parts.includes('Mod') !== mod || parts.includes('Alt') !== event.altKey) return false;
  if (key === '?' || key === '/') return event.key === key;
  if (parts.includes('Shift') !== event.shiftKey) return false;
  return event.code === (CODES[key] || `Key${key}`) || (CODES[key] === undefined && !event.altKey && event.key.toUpperCase() === key);
}

const typing = (target) => target.matches?.('textarea, select, input:not([type=range]):not([type=checkbox]), [contenteditable]');

export function listen(actions) {
  document.addEventListener('keydown', (event) => {
    if (event.defaultPrevented || event.isComposing || document.querySelector('dialog[open]')) return;
    for (const [keys, , action] of SHORTCUTS) {
      if (!matches(keys, event)) continue;
      if (typing(event.target) && (keys === '/' || keys === '?')) return;
      if (actions[action]() === false) return;
      event.preventDefault();
      return;
    }
  });
}

export function showHelp() {
  const caps = (keys) => keys.split('+').map((k) => h('kbd', {}, k === 'Mod' ? (mac ? '⌘' : 'Ctrl') : k === 'Alt' && mac ? '⌥' : k));
  const row = ([keys, about]) => h('div.shortcut', {}, h('span', {}, about), h('span.caps', {}, caps(keys)));
  return openDialog('Keyboard shortcuts', () => h('div.shortcuts', {}, FIXED.map(row), SHORTCUTS.map(row),
    h('p.facts.made-with', {}, 'Made with ', LIBRARIES.map(([name, file], i) => [i ? ', ' : '', h('a', { href: `ui/licences/${file}.txt`, target: '_blank' }, name)]), '.')));
}
