// Asks for the API key. One dialog at a time, however many requests were refused.

import { h } from './dom.js';
import { openDialog } from './dialog.js';
import { getKey, setKey } from './api.js';

let asking = null;

// True when a key was given or taken away.
export function askKey() {
  asking ||= openDialog('API key', (close) => {
    const field = h('input.field', { type: 'password', value: getKey(), autofocus: true, 'aria-label': 'API key', autocomplete: 'off', spellcheck: 'false' });
    const remember = h('input', { type: 'checkbox' });
    const submit = (event) => {
      event.preventDefault();
      setKey(field.value.trim(), remember.checked);
      close(true);
    };
    return h('form', { method: 'dialog', onsubmit: submit },
      h('p', {}, 'The key this server was started with. It is sent to this server only.'), field,
      h('label.check', {}, remember, 'Remember it on this device; else until this tab is closed'),
      h('div.dialog-actions', {}, h('button.button.primary', { type: 'submit' }, 'Use the key')));
  }, '.narrow').finally(() => { asking = null; });
  return asking;
}
