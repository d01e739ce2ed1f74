// Text files as attachments: reads, refuses what is not text, names long pastes. Used by composer.js and message.js.

import { h, icon, iconButton, bytes } from './dom.js';
import { showText } from './dialog.js';

export const LONG_PASTE = 2000;  // characters; longer pastes become attachments
const MOST_BYTES = 4 << 20;

// {name, text} of a File. Throws an Error to be shown when it is too large or not UTF-8 text.
export async function readTextFile(file) {
  if (file.size > MOST_BYTES) throw new Error(`${file.name} has ${bytes(file.size)}; the most is ${bytes(MOST_BYTES)}.`);
  let text;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(await file.arrayBuffer());
  } catch {
    throw new Error(`${file.name} is not a text file: only UTF-8 text can be attached.`);
  }
  if (text.includes('\0')) throw new Error(`${file.name} is not a text file: it holds zero bytes.`);
  return { name: file.name, text };
}

export function pastedName(attachments) {
  let number = 1;
  while (attachments.some((a) => a.name === `pasted-${number}.txt`)) number++;
  return `pasted-${number}.txt`;
}

// A chip that shows the file when clicked; with `onremove` it can be taken away.
export function attachmentChip(attachment, onremove) {
  const size = new Blob([attachment.text]).size;
  return h('span.chip', {}, h('button.chip-open', { type: 'button', title: 'Show the text', onclick: () => showText(attachment.name, attachment.text) },
    icon('file'), h('span.chip-name', {}, attachment.name), h('span.facts', {}, bytes(size))),
  onremove && iconButton('close', `Remove ${attachment.name}`, onremove));
}
