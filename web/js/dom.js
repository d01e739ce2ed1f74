// Builds elements. The one way this UI makes DOM: text always becomes text nodes, and nothing here or in its callers
// assigns innerHTML (markdown.js inserts DOMPurify's fragments). Stateless.

const ICON_PATHS = {
  plus: 'M8 3v10M3 8h10', search: 'M7 12A5 5 0 1 0 7 2a5 5 0 0 0 0 10zM11 11l3 3', menu: 'M2.5 4.5h11M2.5 8h11M2.5 11.5h11',
  sliders: 'M2 5h7M12 5h2M2 11h2M7 11h7M10.5 3.5v3M5.5 9.5v3', send: 'M8 13V3M3.5 7.5 8 3l4.5 4.5', stop: 'M4.5 4.5h7v7h-7z',
  clip: 'M13 7.5 8 12.5a3 3 0 0 1-4.3-4.3l5.3-5.3a2 2 0 0 1 2.9 2.9L6.8 10.9a1 1 0 0 1-1.4-1.4l4.6-4.6',
  copy: 'M5.5 5.5v-3h8v8h-3M2.5 5.5h8v8h-8z', edit: 'M3 13l.700-3L11 2.7 13.3 5 6 12.3zM9.5 4.2l2.3 2.3',
  redo: 'M13 8a5 5 0 1 1-1.6-3.7M13 2v3h-3', play: 'M5 3.5v9l7-4.5z', trash: 'M2.5 4.5h11M6 4.5v-2h4v2M4 4.5l.700 9h6.6l.700-9',
  left: 'M9.5 4 5.5 8l4 4', right: 'M6.5 4l4 4-4 4', down: 'M4 6.5l4 4 4-4', close: 'M4 4l8 8M12 4l-8 8', check: 'M3 8.5 6.5 12 13 4.5',
  more: 'M3.5 8h.01M8 8h.01M12.5 8h.01', tokens: 'M2 4.5h4v3H2zM7.5 4.5H14v3H7.5zM2 9.5h6.5v3H2zM10 9.5h4v3h-4z',
  columns: 'M2.5 3h11v10h-11zM8 3v10', think: 'M8 2a4 4 0 0 0-2.5 7.1V11h5V9.1A4 4 0 0 0 8 2zM6 13.5h4', tool: 'M10.5 2.5a3 3 0 0 0-3 4L2.5 11.5l2 2 5-5a3 3 0 0 0 4-4L11.5 6.5 9.5 4.5z',
  sun: 'M8 11a3 3 0 1 0 0-6 3 3 0 0 0 0 6zM8 1.5v1M8 13.5v1M1.5 8h1M13.5 8h1M3.4 3.4l.700.7M11.9 11.9l.700.7M12.6 3.4l-.700.7M4.1 11.9l-.700.7',
  moon: 'M13 9.5A5.5 5.5 0 0 1 6.5 3 5.5 5.5 0 1 0 13 9.5z', auto: 'M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12zM8 2v12M8 5h4.5M8 8h6M8 11h4.5',
  key: 'M10 9.5a3.5 3.5 0 1 0-3.3-2.3L2 12v2h3v-2h2v-2l1-.500M11 5h.01', help: 'M6 6a2 2 0 1 1 3 1.7c-.700.5-1 .800-1 1.8M8 12h.01',
  fork: 'M4.5 2.5v11M4.5 9c0-2.5 7-1.5 7-4.5M11.5 4.5v-2', save: 'M8 2.5v7.5M4.5 7 8 10.5 11.5 7M2.5 13.5h11', load: 'M8 10.5V3M4.5 6 8 2.5 11.5 6M2.5 13.5h11',
  eye: 'M1.5 8S4 3.5 8 3.5 14.5 8 14.5 8 12 12.5 8 12.5 1.5 8 1.5 8zM8 9.5a1.5 1.5 0 1 0 0-3 1.5 1.5 0 0 0 0 3z', file: 'M4 1.5h5l3.5 3.5v9.5H4zM9 1.5V5h3.5',
};
const SVG = 'http://www.w3.org/2000/svg';

export function icon(name) {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('viewBox', '0 0 16 16');
  svg.setAttribute('class', 'icon');
  svg.setAttribute('aria-hidden', 'true');
  const path = document.createElementNS(SVG, 'path');
  path.setAttribute('d', ICON_PATHS[name]);
  svg.append(path);
  return svg;
}

// h('button.quiet', {title: 'Copy', onclick: f}, 'text', node, [nodes]): class names after dots; null and false children are skipped.
export function h(selector, properties = {}, ...children) {
  const [tag, ...classes] = selector.split('.');
  const element = document.createElement(tag || 'div');
  if (classes.length) element.className = classes.join(' ');
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (name === 'data') Object.assign(element.dataset, value);
    else if (name === 'value' || name === 'checked' || name === 'selected') element[name] = value;
    else element.setAttribute(name, value === true ? '' : String(value));
  }
  append(element, children);
  return element;
}

function append(element, children) {
  for (const child of children) {
    if (Array.isArray(child)) append(element, child);
    else if (child !== null && child !== undefined && child !== false) element.append(child);
  }
}

// A button that shows only an icon; `label` is its accessible name and its tooltip.
export function iconButton(name, label, onclick, extra = '') {
  return h(`button.icon-button${extra}`, { type: 'button', title: label, 'aria-label': label, onclick }, icon(name));
}

export function replace(element, ...children) {
  element.replaceChildren();
  append(element, children);
}

export const byId = (id) => document.getElementById(id);

// Copies, also on plain http from another machine, where navigator.clipboard does not exist.
export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = h('textarea.offscreen', { value: text, readonly: true });
    document.body.append(area);
    area.select();
    const done = document.execCommand('copy');
    area.remove();
    return done;
  }
}

export function download(name, text, type = 'application/json') {
  const url = URL.createObjectURL(new Blob([text], { type }));
  const link = h('a', { href: url, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}

const grouped = new Intl.NumberFormat('en-US');
export const count = (n) => grouped.format(n);
export function seconds(ms) {
  if (ms < 9950) return `${(ms / 1000).toFixed(1)} s`;
  const whole = Math.round(ms / 1000);
  return whole < 60 ? `${whole} s` : `${Math.floor(whole / 60)} min ${whole % 60} s`;
}
export function bytes(n) {
  if (n < 1000) return `${n} B`;
  const units = ['kB', 'MB', 'GB', 'TB'];
  let value = n, unit = -1;
  do { value /= 1000; unit++; } while (value >= 999.5 && unit < 3);
  return `${value < 9.95 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}
