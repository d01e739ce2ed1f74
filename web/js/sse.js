// Server-sent events from a fetch body (EventSource cannot POST): WHATWG HTML section 9.2.6. Pure but for readEvents.

// push() takes text in any pieces and returns the complete events' data strings. Comment lines (keep-alive) vanish.
export class SseParser {
  #rest = '';
  #data = [];
  #skipLineFeed = false;

  push(text) {
    if (this.#skipLineFeed && text.startsWith('\n')) text = text.slice(1);
    if (text) this.#skipLineFeed = false;
    const events = [];
    this.#rest += text;
    for (;;) {
      const end = this.#rest.search(/[\r\n]/);
      if (end < 0) return events;
      const line = this.#rest.slice(0, end);
      let next = end + 1;
      if (this.#rest[end] === '\r') {
        if (next === this.#rest.length) this.#skipLineFeed = true;  // its \n may come with the next piece
        else if (this.#rest[next] === '\n') next++;
      }
      this.#rest = this.#rest.slice(next);
      this.#line(line, events);
    }
  }

  #line(line, events) {
    if (line === '') {
      if (this.#data.length) events.push(this.#data.join('\n'));
      this.#data = [];
    } else if (line === 'data') {
      this.#data.push('');
    } else if (line.startsWith('data:')) {
      this.#data.push(line.slice(line[5] === ' ' ? 6 : 5));
    }
  }
}

// Yields each event's data until the body ends.
export async function* readEvents(response) {
  const parser = new SseParser();
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield* parser.push(value);
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}
