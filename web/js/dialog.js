// Dialogs and toasts on the browser's own <dialog>: focus trap and Escape come with it.

import { h, iconButton, byId } from './dom.js';

// Opens a modal; `build(close)` returns its content. Resolves with what close() was given, undefined when dismissed.
export function openDialog(title, build, className = '') {
  return new Promise((resolve) => {
    let result;
    const dialog = h(`dialog.dialog${className}`, { 'aria-label': title });
    const close = (value) => { result = value; dialog.close(); };
    dialog.append(
      h('header.dialog-head', {}, h('h2', {}, title), iconButton('close', 'Close', () => close())),
      h('div.dialog-body', {}, build(close)));
    dialog.addEventListener('close', () => { dialog.remove(); resolve(result); });
    dialog.addEventListener('click', (event) => { if (event.target === dialog) close(); });
    document.body.append(dialog);
    dialog.showModal();
    dialog.querySelector('[autofocus]')?.focus();
  });
}

export function askText(title, value, action = 'Save') {
  return openDialog(title, (close) => {
    const field = h('input.field', { type: 'text', value, autofocus: true, 'aria-label': title, maxlength: 200 });
    return h('form', { method: 'dialog', onsubmit: (event) => { event.preventDefault(); close(field.value.trim()); } },
      field, h('div.dialog-actions', {}, h('button.button.primary', { type: 'submit' }, action)));
  }, '.narrow');
}

export function showText(title, text) {
  return openDialog(title, () => h('pre.file-text', { tabindex: 0 }, text), '.wide');
}

// A passing message, with at most one action.
export function toast(text, action, onaction) {
  const item = h('div.toast', {}, h('span', {}, text));
  const timer = setTimeout(() => item.remove(), action ? 8000 : 4000);
  if (action) {
    item.append(h('button.link', { type: 'button', onclick: () => { clearTimeout(timer); item.remove(); onaction(); } }, action));
  }
  byId('toasts').append(item);
  while (byId('toasts').children.length > 3) byId('toasts').firstChild.remove();
}

// A menu under `anchor`: [[label, icon node, action], ...].
export function openMenu(anchor, items) {
  document.querySelector('.menu')?.remove();
  const menu = h('div.menu', { role: 'menu' }, items.map(([label, mark, action, danger]) =>
    h(`button.menu-item${danger ? '.danger' : ''}`, { type: 'button', role: 'menuitem', onclick: () => { dismiss(); action(); } }, mark, label)));
  const outside = (event) => { if (!menu.contains(event.target)) dismiss(); };
  const keys = (event) => {
    const all = [...menu.children];
    const at = all.indexOf(document.activeElement);
    if (event.key === 'Escape') { dismiss(); anchor.focus(); }
    else if (event.key === 'ArrowDown') all[(at + 1) % all.length].focus();
    else if (event.key === 'ArrowUp') all[(at - 1 + all.length) % all.length].focus();
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  const dismiss = () => { menu.remove(); document.removeEventListener('pointerdown', outside, true); };
  document.body.append(menu);
  const box = anchor.getBoundingClientRect();
  const below = box.bottom + menu.offsetHeight + 8 < innerHeight;
  menu.style.top = `${below ? box.bottom + 4 : box.top - menu.offsetHeight - 4}px`;
  menu.style.left = `${Math.max(8, Math.min(box.right - menu.offsetWidth, innerWidth - menu.offsetWidth - 8))}px`;
  menu.addEventListener('keydown', keys);
  document.addEventListener('pointerdown', outside, true);
  menu.firstChild?.focus();
}
